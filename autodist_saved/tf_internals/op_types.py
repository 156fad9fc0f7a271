"""The types of TensorFlow's operations, by what they do.

TensorFlow has no such lists. A test compares these with the operations that TensorFlow registers. It fails when a new
version adds a type, or renames one.
"""

from __future__ import annotations


def _types(names: str) -> frozenset[str]:
    return frozenset(names.split())


# Variables. Reference variables give their own memory as an output, resource variables a handle.
REFERENCE_VARIABLES = _types("Variable VariableV2")
VARIABLES = REFERENCE_VARIABLES | {"VarHandleOp"}
# They give a variable a value that does not depend on the former one.
ASSIGNMENTS = _types("Assign AssignVariableOp")
UPDATES = ASSIGNMENTS | _types(
    "AssignAdd AssignSub AssignAddVariableOp AssignSubVariableOp AssignVariableXlaConcatND"
)
ASK_WHETHER_INITIALIZED = _types("IsVariableInitialized VarIsInitializedOp")
VARIABLE_READS = ASK_WHETHER_INITIALIZED | _types(
    "ReadVariableOp _ReadVariablesOp ReadVariableXlaSplitND ResourceGather ResourceGatherNd VariableShape "
    "DisableCopyOnRead IsResourceHandleRefCounting"
)

# Lookup tables. An initializer fills a static table once, and no saver saves it.
STATIC_TABLES = _types("HashTable HashTableV2 AnonymousHashTable")
MUTABLE_TABLES = _types(
    "MutableHashTable MutableHashTableV2 MutableHashTableOfTensors MutableHashTableOfTensorsV2 "
    "MutableDenseHashTable MutableDenseHashTableV2 AnonymousMutableHashTable AnonymousMutableHashTableOfTensors "
    "AnonymousMutableDenseHashTable"
)
TABLES = STATIC_TABLES | MUTABLE_TABLES
TABLE_READS = _types(
    "LookupTableFind LookupTableFindV2 LookupTableSize LookupTableSizeV2 LookupTableExport LookupTableExportV2"
)

# The first control flow: loops and branches are nodes of the graph itself.
ENTERS = _types("Enter RefEnter")
NEXT_ITERATIONS = _types("NextIteration RefNextIteration")
SWITCHES = _types("Switch RefSwitch")
MERGES = _types("Merge RefMerge")
EXITS = _types("Exit RefExit")
# They pass their first input on unchanged: a value, a reference or a handle.
PASS_THROUGH = ENTERS | SWITCHES | _types("Identity RefIdentity")
# They pass one of several inputs on unchanged. The graph alone does not say which.
CHOICES = MERGES | _types("Select RefSelect")
PASS_ON = PASS_THROUGH | CHOICES | NEXT_ITERATIONS | EXITS

# The second control flow: loops and branches call functions.
CALLS = _types("PartitionedCall StatefulPartitionedCall")
LOOPS = _types("While StatelessWhile")
BRANCHES = _types("If StatelessIf Case StatelessCase")

# Resources that no saver saves.
QUEUES = _types(
    "FIFOQueue FIFOQueueV2 PaddingFIFOQueue PaddingFIFOQueueV2 PriorityQueue PriorityQueueV2 RandomShuffleQueue "
    "RandomShuffleQueueV2 FakeQueue"
)
ACCUMULATORS = _types("ConditionalAccumulator ResourceConditionalAccumulator SparseConditionalAccumulator")
# The first ones wait for an initializer. The others initialize themselves, or name an iterator of another graph.
INITIALIZED_ITERATORS = _types("Iterator IteratorV2 MultiDeviceIterator")
ITERATORS = INITIALIZED_ITERATORS | _types(
    "OneShotIterator IteratorFromStringHandle IteratorFromStringHandleV2 MultiDeviceIteratorFromStringHandle "
    "AnonymousIterator AnonymousIteratorV2 AnonymousIteratorV3 AnonymousMultiDeviceIterator "
    "AnonymousMultiDeviceIteratorV3"
)
READERS = _types(
    "FixedLengthRecordReader FixedLengthRecordReaderV2 IdentityReader IdentityReaderV2 LMDBReader TFRecordReader "
    "TFRecordReaderV2 TextLineReader TextLineReaderV2 WholeFileReader WholeFileReaderV2"
)
TENSOR_ARRAYS = _types(
    "TensorArray TensorArrayV2 TensorArrayV3 TensorArrayGrad TensorArrayGradV2 TensorArrayGradV3 "
    "TensorArrayGradWithShape"
)
STACKS = _types("Stack StackV2")
NEVER_SAVED = QUEUES | ACCUMULATORS | ITERATORS | READERS | TENSOR_ARRAYS | STACKS | _types("Barrier SummaryWriter")

DEQUEUES = _types(
    "QueueDequeue QueueDequeueV2 QueueDequeueMany QueueDequeueManyV2 QueueDequeueUpTo QueueDequeueUpToV2"
)
ENQUEUES = _types("QueueEnqueue QueueEnqueueV2 QueueEnqueueMany QueueEnqueueManyV2")
GRADIENT_TAKES = _types("AccumulatorTakeGradient ResourceAccumulatorTakeGradient SparseAccumulatorTakeGradient")
# Their second input is the iterator.
ITERATOR_INITIALIZERS = _types("MakeIterator MultiDeviceIteratorInit")
# A tensor array lives for one run.
TENSOR_ARRAY_OPS = TENSOR_ARRAYS | _types(
    "TensorArrayClose TensorArrayCloseV2 TensorArrayCloseV3 TensorArrayConcat TensorArrayConcatV2 "
    "TensorArrayConcatV3 TensorArrayGather TensorArrayGatherV2 TensorArrayGatherV3 TensorArrayPack TensorArrayRead "
    "TensorArrayReadV2 TensorArrayReadV3 TensorArrayScatter TensorArrayScatterV2 TensorArrayScatterV3 "
    "TensorArraySize TensorArraySizeV2 TensorArraySizeV3 TensorArraySplit TensorArraySplitV2 TensorArraySplitV3 "
    "TensorArrayUnpack TensorArrayWrite TensorArrayWriteV2 TensorArrayWriteV3"
)

# A session runs them only if it is fed a value for them.
PLACEHOLDERS = _types("Placeholder PlaceholderV2")
PRINTS = _types("Print PrintV2")
# They call a Python function. Only the process that made the op has that function.
PYTHON_CALLS = _types("PyFunc PyFuncStateless EagerPyFunc")
# They give other values each time they run. Ops that take a seed as an input are not among them.
RANDOM = _types(
    "FixedUnigramCandidateSampler LearnedUnigramCandidateSampler LogUniformCandidateSampler Multinomial "
    "ParameterizedTruncatedNormal RandomCrop RandomGamma RandomPoisson RandomPoissonV2 RandomShuffle "
    "RandomStandardNormal RandomUniform RandomUniformInt RngReadAndSkip SampleDistortedBoundingBox "
    "SampleDistortedBoundingBoxV2 StatefulRandomBinomial StatefulStandardNormal StatefulStandardNormalV2 "
    "StatefulTruncatedNormal StatefulUniform StatefulUniformFullInt StatefulUniformInt "
    "ThreadUnsafeUnigramCandidateSampler TruncatedNormal UniformCandidateSampler"
)

# They put pieces of partitioned variables together.
CONCATENATIONS = _types("Concat ConcatV2")
STITCHES = _types("DynamicStitch ParallelDynamicStitch")
# Their inputs may have any type, and so be handles. They change nothing.
TAKE_ANYTHING = _types("IdentityN Assert StringFormat EnsureShape Pack NoOp") | PRINTS

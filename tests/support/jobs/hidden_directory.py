"""A job whose parameter servers do not see the directory in which the chief saves. Run by every task."""

from __future__ import annotations

import sys
from pathlib import Path

import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from tests.support.job import leave


def main(results: Path) -> None:
    v1.disable_eager_execution()
    v1.enable_resource_variables()
    cluster = ads.Cluster.from_tf_config()
    place = results / "place"
    if str(cluster.task).startswith("ps"):
        ads.serve(cluster)
        leave(results, f"seen-by-{cluster.task}", [path.name for path in place.iterdir()])
        return
    with tf.Graph().as_default(), cluster.device_scope():
        table = v1.get_variable("table", [600, 500], partitioner=v1.fixed_size_partitioner(2))
        total = tf.reduce_sum(tf.convert_to_tensor(table))
        forget = tf.group([piece.assign(tf.zeros_like(piece)) for piece in table])
        v1.train.get_or_create_global_step()
        saver = ads.Saver()
        with ads.create_distributed_session(cluster, saver=saver) as sess:
            sums = [sess.run(total)]
            builder = ads.SavedModelBuilder(place / "model")
            builder.add_meta_graph_and_variables(sess, ["serve"], saver=saver)
            builder.save()
            transport = builder.report.transport
            path = saver.save(sess, str(place / "saved"))
            for prefix in (path, str(place / "model" / "variables" / "variables")):
                sess.run(forget)
                sums.append(sess.run(total))
                saver.restore(sess, prefix)
                sums.append(sess.run(total))
    leave(results, "transport", transport)
    leave(results, "sums", [float(found) for found in sums])


if __name__ == "__main__":
    main(Path(sys.argv[1]))

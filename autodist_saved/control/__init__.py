"""The job's own wire between its tasks: who takes part, who stands still for a cut, and when the job is over.

The chief runs :class:`~autodist_saved.control.chief_service.ChiefService`, which serves gRPC and decides nothing:
:class:`~autodist_saved.control.member_table.MemberTable` does. Every other task has a
:class:`~autodist_saved.control.member_client.MemberClient` with one stream to the chief. No TensorFlow in here.
"""

"""The job's own wire between its tasks: who takes part, and when the job is over.

The chief runs :class:`~autodist_saved.control.chief_service.ChiefService`; every other task holds one stream to it, a
:class:`~autodist_saved.control.member_client.MemberClient`. No TensorFlow in here.
"""

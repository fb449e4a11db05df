"""What a run leaves on disk, in the formats of `docs/runs.md`: its folder, checkpoints, history and provenance.

Whatever must be read again by another process or version belongs here. What a person looks at afterwards (curves of
TensorBoard, reports, videos) does not.
"""

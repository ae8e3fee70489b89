"""What lies in an index folder: the manifest, the segments, the journal of a build."""

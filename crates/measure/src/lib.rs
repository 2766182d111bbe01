//! Histograms, the recorder of a shard, snapshots and their merge

#![forbid(unsafe_code)]

//! The io_uring network driver: the only home of unsafe ring code

#![forbid(unsafe_code)]

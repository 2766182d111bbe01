//! The summary and interval documents, and how people read them

#![forbid(unsafe_code)]

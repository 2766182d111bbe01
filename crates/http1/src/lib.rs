//! Sans-IO HTTP/1.1 client machine

#![forbid(unsafe_code)]

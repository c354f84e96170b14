//! The one place that names the raw bindings: everything else in the crate goes through here.

pub(crate) use llama_cpp_sys_2::*;

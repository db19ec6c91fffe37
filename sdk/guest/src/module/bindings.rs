//! The guest side of `isx:module`, made from the WIT.

#![allow(
    missing_docs,
    unsafe_code,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::undocumented_unsafe_blocks,
    reason = "generated from the guest contract"
)]

wit_bindgen::generate!({
    path: "../wit/module.wit",
    world: "module",
    pub_export_macro: true,
    export_macro_name: "export_module",
    default_bindings_module: "::isx::__rt::bindings",
    generate_all,
});

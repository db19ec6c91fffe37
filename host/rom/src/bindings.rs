//! The host side of `isx:host`, made from the WIT.

#![allow(missing_docs, clippy::all, reason = "generated from the WIT, which is the documentation")]

wasmtime::component::bindgen!({
    path: "../../sdk/wit/host.wit",
    world: "isx:host/rom",
    imports: {
        "isx:host/objects.[method]object.call": async | store | trappable,
        "isx:host/objects.[method]object.follow": async | store | trappable,
        "isx:host/objects.[method]items.next": async | store | trappable,
        "isx:host/start.sleep": async | store | trappable,
        default: trappable,
    },
    exports: { default: async | store },
    with: {
        "isx:host/objects.object": crate::handles::Handle,
        "isx:host/objects.items": crate::handles::Following,
        "wasi": wasmtime_wasi::p3::bindings,
    },
    require_store_data_send: true,
});

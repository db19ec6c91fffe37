//! What one running ROM holds: its WASI, its handles, its bounds.

use crate::limits::{HANDLES_MAX, INSTANCES_MAX, MEMORY_BYTES_MAX, TABLE_ELEMENTS_MAX};
use isx_iface::ObjectRef;
use wasmtime::component::ResourceTable;
use wasmtime::{StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// The data of a ROM's store.
pub(crate) struct State {
    pub(crate) host: ObjectRef,
    pub(crate) table: ResourceTable,
    pub(crate) limits: StoreLimits,
    wasi: WasiCtx,
}

impl State {
    pub(crate) fn new(host: ObjectRef, wasi: WasiCtx) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        let limits = StoreLimitsBuilder::new()
            .memory_size(MEMORY_BYTES_MAX)
            .table_elements(TABLE_ELEMENTS_MAX)
            .instances(INSTANCES_MAX)
            .tables(INSTANCES_MAX)
            .memories(INSTANCES_MAX)
            .build();
        Self { host, table, limits, wasi }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

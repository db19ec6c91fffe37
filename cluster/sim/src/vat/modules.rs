//! The module that seeds of whole nodes publish: the shipped tally, in variants that differ in a section without code.
//!
//! They have one compiled form, which is made once a process: a seed publishes many variants and compiles none.

use isx_exec::Compile;
use isx_row::Error;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// The variants of a component, and what compiles them.
pub struct Modules {
    component: Vec<u8>,
    compiled: OnceLock<Result<Vec<u8>, Error>>,
}

impl Modules {
    /// The `tally.wasm` of a folder of built guests.
    ///
    /// # Errors
    /// What is wrong with the file, in words.
    pub fn of_folder(folder: &Path) -> Result<Arc<Self>, String> {
        Self::of_file(&folder.join("tally.wasm"))
    }

    /// A component in a file.
    pub(crate) fn of_file(file: &Path) -> Result<Arc<Self>, String> {
        match std::fs::read(file) {
            Ok(component) => Ok(Arc::new(Self { component, compiled: OnceLock::new() })),
            Err(error) => Err(format!("{}: {error}; `cargo xtask guests` builds it", file.display())),
        }
    }

    /// A variant: the component, and behind it a custom section with the number.
    pub(crate) fn variant(&self, number: u64) -> Vec<u8> {
        let name = b"variant";
        let mut section = vec![name.len() as u8];
        section.extend_from_slice(name);
        section.extend_from_slice(&number.to_le_bytes());
        let mut component = self.component.clone();
        // A custom section: id 0, its length in LEB128, of which one byte is enough here.
        component.extend_from_slice(&[0, section.len() as u8]);
        component.extend_from_slice(&section);
        component
    }
}

/// The compiler of a node: a child process in the real one.
impl Compile for Modules {
    fn compile(&self, component: &[u8]) -> Result<Vec<u8>, Error> {
        if !component.starts_with(&self.component) {
            return isx_exec::compile(component);
        }
        self.compiled.get_or_init(|| isx_exec::compile(&self.component)).clone()
    }
}

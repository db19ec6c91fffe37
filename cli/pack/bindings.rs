//! What `wit_bindgen::generate!` would write, in place of the files that call it.

use crate::Files;
use anyhow::{Context, Result};
use std::path::Path;
use wit_bindgen_core::WorldGenerator;
use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_rust::Opts;

/// A file of the SDK that holds nothing but the macro: its place, and what its options say.
struct Expansion {
    file: &'static str,
    wit: &'static str,
    world: &'static str,
    macro_name: &'static str,
    module: &'static str,
}

const EXPANSIONS: [Expansion; 2] = [
    Expansion {
        file: "sdk/guest/src/module/bindings.rs",
        wit: "sdk/wit/module.wit",
        world: "module",
        macro_name: "export_module",
        module: "::isx::__rt::bindings",
    },
    Expansion {
        file: "sdk/guest/src/rom/bindings.rs",
        wit: "sdk/wit/host.wit",
        world: "isx:host/rom",
        macro_name: "export_rom",
        module: "::isx::rom::bindings",
    },
];

/// Replaces the files that call the macro.
pub fn put(root: &Path, files: &mut Files) -> Result<()> {
    for expansion in &EXPANSIONS {
        let file = files.get_mut(Path::new(expansion.file)).with_context(|| format!("no {}", expansion.file))?;
        let text = String::from_utf8_lossy(file);
        // The head of the file stands above the macro, and what the macro is told must be what is told here.
        let (head, told) = text.split_once("wit_bindgen::generate!").context("the file calls no macro")?;
        for word in [expansion.wit, expansion.world, expansion.macro_name, expansion.module] {
            let word = word.strip_prefix("sdk/").unwrap_or(word);
            anyhow::ensure!(told.contains(word), "{} is not told {word}", expansion.file);
        }
        *file = [head.as_bytes(), &expand(expansion, root)?].concat();
    }
    Ok(())
}

fn expand(expansion: &Expansion, root: &Path) -> Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(root.join(expansion.wit))?;
    let world = resolve.select_world(&[package], Some(expansion.world))?;
    let options = Opts {
        format: true,
        generate_all: true,
        pub_export_macro: true,
        export_macro_name: Some(expansion.macro_name.into()),
        default_bindings_module: Some(expansion.module.into()),
        ..Opts::default()
    };
    let mut generated = wit_bindgen_core::Files::default();
    options.build().generate(&mut resolve, world, &mut generated)?;
    let (_, bytes) = generated.iter().next().context("no bindings were written")?;
    Ok(own_paths(std::str::from_utf8(bytes)?).into_bytes())
}

/// Says of paths that begin with `isx` that they are of this module: written by a macro they are, in a file they could be
/// of the crate of that name.
fn own_paths(text: &str) -> String {
    let mut parts = text.split("isx::");
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let begins = out.chars().next_back().is_none_or(|before| before.is_whitespace() || "(<&".contains(before));
        out.push_str(if begins { "self::isx::" } else { "isx::" });
        out.push_str(part);
    }
    out
}

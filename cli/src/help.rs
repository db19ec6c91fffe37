//! `isx help`: of verbs, and of every error code; completions and man pages.

use crate::arguments::Arguments;
use crate::show::Show;
use anyhow::{Context, Result, bail};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use isx_row::Code;
use serde_json::json;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// `isx help`: of a verb, of an error code, or of everything.
pub fn help(words: &[String], show: Show) -> Result<()> {
    if let [word] = words
        && let Some(code) = Code::ALL.iter().find(|code| code.word() == word)
    {
        return explain(*code, show);
    }
    let mut command = Arguments::command();
    command.build();
    let mut found = &mut command;
    for word in words {
        found = match found.find_subcommand_mut(word) {
            Some(below) => below,
            None => bail!(
                "{word:?} is neither a verb nor an error code: `isx help` lists the verbs, errors begin with their code"
            ),
        };
    }
    Ok(write!(io::stdout().lock(), "{}", found.render_long_help())?)
}

fn explain(code: Code, show: Show) -> Result<()> {
    let (word, class) = (code.word(), code.class());
    Ok(show.one(
        || format!("{word} ({})\n  {}\n  {}\n  cure: {}", class.word(), code.meaning(), class.advice(), code.cure()),
        || {
            json!({ "code": word, "number": code as u16, "class": class.word(), "meaning": code.meaning(),
                    "advice": class.advice(), "cure": code.cure() })
        },
    )?)
}

/// `isx completion`: what a shell reads to complete isx's verbs and flags.
pub fn completion(shell: Shell) -> Result<()> {
    // Made whole before it is written: the generator panics where its writer fails.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "isx", &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}

/// `isx man`: a page for isx and one for each verb.
pub fn man(folder: &Path, show: Show) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("can not make {}", folder.display()))?;
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let mut count = 0;
    for (name, page) in pages(&command, "isx")? {
        let file = folder.join(format!("{name}.1"));
        fs::write(&file, page).with_context(|| format!("can not write {}", file.display()))?;
        count += 1;
    }
    Ok(show.one(
        || format!("wrote {count} pages: man {}", folder.join("isx.1").display()),
        || json!({ "folder": folder.to_string_lossy(), "pages": count }),
    )?)
}

/// The pages of a command and of those below it, by name.
fn pages(command: &Command, name: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).render(&mut page)?;
    let mut all = vec![(name.to_string(), page)];
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        all.extend(pages(below, &format!("{name}-{}", below.get_name()))?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_meaning_and_a_cure() {
        for code in Code::ALL {
            assert!(code.meaning().ends_with('.') && !code.cure().is_empty(), "{code:?}: {}", code.meaning());
        }
    }

    #[test]
    fn there_is_a_page_for_every_verb() {
        let folder = tempfile::tempdir().unwrap();
        man(folder.path(), Show { json: true }).unwrap();
        for name in ["isx", "isx-run", "isx-cluster-skip"] {
            assert!(folder.path().join(format!("{name}.1")).is_file(), "{name}");
        }
        assert!(!folder.path().join("isx-child-try.1").exists());
    }
}

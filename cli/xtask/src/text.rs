//! A large real text: the toolchain's documentation without its tags, with a count of its own.

use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Words whose counts are compared one by one.
const TOP_COUNT: usize = 10;

/// What the text holds.
pub struct Counted {
    /// Words in all.
    pub words_count: u64,
    /// The most frequent words.
    pub top: Vec<(String, u64)>,
}

/// Writes the text of pages below `documentation`, in order of their paths, until it has `words_min` words.
pub fn write(documentation: &Path, output: &Path, words_min: u64) -> Result<Counted> {
    let (mut text, mut counts, mut words_count) = (String::new(), BTreeMap::<String, u64>::new(), 0);
    for page in pages(documentation)? {
        let plain = without_tags(&String::from_utf8_lossy(&fs::read(page)?));
        for word in plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            *counts.entry(word.to_lowercase()).or_default() += 1;
            words_count += 1;
        }
        text.push_str(&plain);
        text.push('\n');
        if words_count >= words_min {
            break;
        }
    }
    ensure!(words_count >= words_min, "{} has only {words_count} words", documentation.display());
    fs::write(output, text)?;
    let mut top: Vec<(String, u64)> = counts.into_iter().collect();
    top.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    top.truncate(TOP_COUNT);
    Ok(Counted { words_count, top })
}

/// The pages of the books, which are prose.
fn pages(documentation: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["book", "reference", "cargo", "nomicon", "rust-by-example"]
        .iter()
        .map(|name| documentation.join(name))
        .collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match path.is_dir() {
                true => folders.push(path),
                // `print.html` is a whole book once more.
                false if name.ends_with(".html") && name != "print.html" => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The text outside of tags, scripts and styles; entities stay as they are, for both counts.
fn without_tags(html: &str) -> String {
    let (mut text, mut rest) = (String::with_capacity(html.len() / 2), html);
    while let Some(open) = rest.find('<') {
        text.push_str(&rest[..open]);
        text.push(' ');
        let tag = &rest[open..];
        let skipped = ["script", "style"].iter().find(|name| tag[1..].starts_with(**name));
        let end = match skipped {
            Some(name) => tag.find(&format!("</{name}>")),
            None => Some(0),
        };
        let from = end.unwrap_or(tag.len());
        rest = tag[from..].find('>').map_or("", |close| &tag[from + close + 1..]);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_scripts_and_styles_are_stripped() {
        assert_eq!(without_tags("a<b>c</b>d").split_whitespace().collect::<Vec<_>>(), ["a", "c", "d"]);
        assert_eq!(without_tags("a<script>if (1<2) x</script>b").split_whitespace().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(without_tags("a<style>p{}").split_whitespace().collect::<Vec<_>>(), ["a"]);
        assert_eq!(without_tags("a<"), "a ");
    }
}

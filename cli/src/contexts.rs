//! The verbs on contexts: names of this user for nodes that he uses, with one of them in use.
//!
//! They lie in `contexts.toml` in the configuration folder. [`crate::reach`] says what goes before and after them.

use crate::arguments::{ContextVerb, Global};
use crate::show::{Show, is_graphic};
use crate::{places, reach, userfile};
use anyhow::{Context as _, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Contexts of one user; one more is refused.
const CONTEXTS_MAX: usize = 256;
/// Bytes of a context's name.
const NAME_BYTES_MAX: usize = 64;

/// A node that a user gave a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// Its address.
    pub dial: String,
    /// The file of the key to show it; this user's own where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<PathBuf>,
}

/// What `contexts.toml` says.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contexts {
    /// The one in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    #[serde(default)]
    context: BTreeMap<String, Context>,
}

impl Contexts {
    /// This user's contexts.
    ///
    /// # Errors
    /// When the file can not be read or understood; names the line.
    pub fn read(global: &Global) -> Result<Self> {
        let path = path(global)?;
        Self::parse(userfile::read(&path)?, &path)
    }

    fn parse(text: Option<String>, path: &Path) -> Result<Self> {
        let Some(text) = text else { return Ok(Self::default()) };
        toml::from_str(&text).map_err(|error| anyhow!("{}: {}", path.display(), error.to_string().trim_end()))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.context.len()
    }

    /// The context of this name.
    ///
    /// # Errors
    /// With those that there are.
    pub fn get(&self, name: &str) -> Result<&Context> {
        self.context.get(name).ok_or_else(|| {
            let there = match self.context.is_empty() {
                true => "there is none yet".into(),
                false => format!("there are {}", self.context.keys().cloned().collect::<Vec<_>>().join(", ")),
            };
            anyhow!("no context {name:?}; {there}; make it with `isx context add {name} ADDRESS`")
        })
    }

    /// The one in use.
    ///
    /// # Errors
    /// When the one that is said to be is not there.
    pub fn current(&self) -> Result<Option<(&str, &Context)>> {
        let current = self.current.as_deref().map(|name| Ok::<_, anyhow::Error>((name, self.get(name)?)));
        current.transpose().context("the context in use is gone; choose another with `isx context use NAME`, or --none")
    }

    fn add(&mut self, name: &str, context: Context) -> Result<()> {
        check_name(name)?;
        check_address(&context.dial)?;
        let is_there = self.context.contains_key(name);
        ensure!(!is_there, "the context {name:?} is there already; remove it with `isx context rm {name}`");
        ensure!(self.context.len() < CONTEXTS_MAX, "there are {CONTEXTS_MAX} contexts already; remove one");
        self.context.insert(name.into(), context);
        Ok(())
    }

    fn select(&mut self, name: Option<&str>) -> Result<()> {
        name.map(|name| self.get(name)).transpose()?;
        self.current = name.map(str::to_string);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        self.get(name)?;
        self.context.remove(name);
        self.current.take_if(|current| current == name);
        Ok(())
    }

    fn json(&self, name: &str, context: &Context) -> Json {
        let current = self.current.as_deref() == Some(name);
        json!({ "name": name, "dial": context.dial, "identity": context.identity, "current": current })
    }
}

fn path(global: &Global) -> Result<PathBuf> {
    Ok(places::config_path(global)?.join("contexts.toml"))
}

fn change(global: &Global, change: impl FnOnce(&mut Contexts) -> Result<()>) -> Result<()> {
    let path = path(global)?;
    places::config_dir(global)?;
    userfile::change(&path, |text| {
        let mut contexts = Contexts::parse(text, &path)?;
        change(&mut contexts)?;
        Ok(toml::to_string(&contexts)?)
    })
}

/// `isx context`.
pub fn context(global: &Global, verb: ContextVerb, show: Show) -> Result<()> {
    match verb {
        ContextVerb::Ls => {
            let contexts = Contexts::read(global)?;
            let records: Vec<Json> = contexts.context.iter().map(|(name, it)| contexts.json(name, it)).collect();
            Ok(show.table(&["name", "current", "dial", "identity"], &records)?)
        }
        ContextVerb::Add { name, address, identity } => {
            let absolute = |file: PathBuf| file.canonicalize().with_context(|| format!("no key {}", file.display()));
            let context = Context { dial: address, identity: identity.map(absolute).transpose()? };
            context.identity.as_deref().map(places::key).transpose()?;
            change(global, |contexts| contexts.add(&name, context))?;
            Ok(show.one(|| format!("added {name}; use it with `isx context use {name}`"), || json!({ "name": name }))?)
        }
        ContextVerb::Use { name, .. } => {
            change(global, |contexts| contexts.select(name.as_deref()))?;
            let text = || name.as_ref().map_or("no context is in use".into(), |name| format!("{name} is in use"));
            Ok(show.one(text, || json!({ "current": name }))?)
        }
        ContextVerb::Rm { name } => {
            change(global, |contexts| contexts.remove(&name))?;
            Ok(show.one(|| format!("removed {name}"), || json!({ "name": name, "removed": true }))?)
        }
        ContextVerb::Show { name: Some(name) } => {
            let contexts = Contexts::read(global)?;
            let context = contexts.get(&name)?;
            let identity = context.identity.as_ref().map(|file| format!("\nidentity  {}", file.display()));
            Ok(show.one(
                || format!("name      {name}\ndial      {}{}", context.dial, identity.unwrap_or_default()),
                || contexts.json(&name, context),
            )?)
        }
        ContextVerb::Show { name: None } => {
            let named = reach::named(global)?;
            let text = || match &named {
                Some(named) => format!("dial      {}\nsaid by   {}", named.dial, named.by),
                None => {
                    "nothing says which node: one of this user on this machine, or one that a command brings".into()
                }
            };
            let json = || named.as_ref().map_or(Json::Null, |named| json!({ "dial": named.dial, "by": named.by }));
            Ok(show.one(text, json)?)
        }
    }
}

fn check_name(name: &str) -> Result<()> {
    let letter = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_good =
        !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(letter) && !name.starts_with('-');
    ensure!(
        is_good,
        "{name:?} can not be a context's name: it has letters, digits, - _ and ., at most {NAME_BYTES_MAX}"
    );
    Ok(())
}

/// Whether an address may be one; dialling says the rest.
pub fn check_address(address: &str) -> Result<()> {
    let is_visible = |c: char| is_graphic(c) && !c.is_whitespace();
    let is_good = address.starts_with('/') && address.contains("/p2p/") && address.chars().all(is_visible);
    ensure!(is_good, "{address:?} is no address: it is like /ip4/…/tcp/…/p2p/<peer>, as `isx status` prints it");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWtest";

    fn context() -> Context {
        Context { dial: ADDRESS.into(), identity: None }
    }

    #[test]
    fn one_is_in_use_until_it_is_removed() {
        let mut contexts = Contexts::default();
        contexts.add("work", context()).unwrap();
        assert!(contexts.add("work", context()).unwrap_err().to_string().contains("isx context rm work"));
        assert_eq!(contexts.current().unwrap(), None);
        contexts.select(Some("work")).unwrap();
        assert_eq!(contexts.current().unwrap(), Some(("work", &context())));
        let text = toml::to_string(&contexts).unwrap();
        assert_eq!(Contexts::parse(Some(text), Path::new("x")).unwrap(), contexts, "both ways");
        let missing = contexts.select(Some("home")).unwrap_err().to_string();
        assert!(missing.contains("there are work") && missing.contains("isx context add home"), "{missing}");
        contexts.remove("work").unwrap();
        assert_eq!(contexts, Contexts::default());
    }

    #[test]
    fn what_is_no_context_is_refused() {
        for name in ["", "a b", "a/b", "-x", "ä"] {
            assert!(Contexts::default().add(name, context()).is_err(), "{name:?}");
        }
        for dial in ["", "localhost:1", "/ip4/127.0.0.1/tcp/1", "/p2p/a b", "/p2p/\u{1b}[2J", "/p2p/\u{202e}"] {
            let context = Context { dial: dial.into(), identity: None };
            let error = Contexts::default().add("a", context).unwrap_err().to_string();
            assert!(error.contains("is no address") && error.chars().all(is_graphic), "{error:?}");
        }
        let mut full = Contexts::default();
        (0..CONTEXTS_MAX).for_each(|at| full.add(&at.to_string(), context()).unwrap());
        assert!(full.add("more", context()).is_err());

        let unknown = Contexts::parse(Some("[context.a]\ndial = \"x\"\ndail = 1\n".into()), Path::new("c.toml"));
        let unknown = unknown.unwrap_err().to_string();
        assert!(unknown.contains("c.toml") && unknown.contains("line 3") && unknown.contains("dail"), "{unknown}");
        let gone = Contexts::parse(Some("current = \"a\"".into()), Path::new("c.toml")).unwrap();
        assert!(format!("{:#}", gone.current().unwrap_err()).contains("isx context use"));
    }
}

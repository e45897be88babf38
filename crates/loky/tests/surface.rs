//! The public surface of the crate, written down: a change of it is a change of `surface.txt`.
//!
//! It is read from the sources, so it needs no tool chain but the one that builds the crate. After a
//! change that is meant, `LOKY_SURFACE=write cargo test -p loky --test surface` renews the file.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by a panic, also in what it calls"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use quote::ToTokens;
use syn::{Attribute, Fields, ImplItem, Item, ItemImpl, TraitItem, UseTree, Visibility};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/surface.txt");

#[test]
fn the_public_surface_is_what_was_agreed() {
    let surface = Surface::read();
    let text = surface.text();
    if std::env::var("LOKY_SURFACE").is_ok_and(|value| value == "write") {
        std::fs::write(GOLDEN, &text).unwrap();
    }
    let agreed = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (now, before) = (lines(&text), lines(&agreed));
    let added: Vec<_> = now.difference(&before).collect();
    let gone: Vec<_> = before.difference(&now).collect();
    assert!(
        text == agreed,
        "the public surface has changed; added: {added:#?}; gone: {gone:#?}"
    );
    assert!(
        surface.unknown.is_empty(),
        "nobody has read {:?}",
        surface.unknown
    );
}

/// What users may do with threads is part of the surface too, and nothing in the sources says it.
#[test]
fn handles_go_between_threads() {
    fn sent<T: Send + Sync + 'static>() {}
    sent::<loky::ProcessPoolExecutor>();
    sent::<loky::WithOptions>();
    sent::<loky::TaskFuture<String>>();
    sent::<loky::TaskFuture<std::rc::Rc<u8>>>();
    sent::<loky::Call<String>>();
    sent::<loky::Buffer<f64>>();
    sent::<loky::Builder>();
    sent::<loky::Error>();
    sent::<loky::Map<std::vec::IntoIter<loky::Call<u8>>>>();
    sent::<loky::Unordered<std::vec::IntoIter<loky::Call<u8>>>>();
}

/// Public items by name, each with its lines.
struct Surface {
    items: BTreeMap<String, BTreeSet<String>>,
    /// Names that the crate exports and whose definition has not been found.
    unknown: BTreeSet<String>,
}

impl Surface {
    fn read() -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut surface = Self {
            items: BTreeMap::new(),
            unknown: BTreeSet::new(),
        };
        let root = parsed(&source.join("lib.rs"));
        for item in &root.items {
            surface.read_root(item);
        }
        // What stands in other crates of this workspace and is exported here.
        let engine = source.join("../../engine/src/pool.rs");
        let mut files: Vec<PathBuf> = std::fs::read_dir(&source)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file() && !path.ends_with("lib.rs"))
            .collect();
        files.push(engine);
        for file in files {
            for item in &parsed(&file).items {
                surface.read_item(item);
            }
        }
        surface
    }

    fn read_root(&mut self, item: &Item) {
        match item {
            Item::Use(item) if is_public(&item.vis) => {
                let mut names = Vec::new();
                names_of(&item.tree, &mut names);
                for name in names {
                    self.unknown.insert(name.clone());
                    self.items.entry(name).or_default();
                }
            }
            Item::Fn(item) if is_public(&item.vis) => {
                let line = one_line(&item.sig);
                self.items
                    .entry(item.sig.ident.to_string())
                    .or_default()
                    .insert(line);
            }
            Item::Macro(item) if has(&item.attrs, "macro_export") => {
                let name = item.ident.as_ref().unwrap().to_string();
                self.items
                    .entry(format!("{name}!"))
                    .or_default()
                    .insert("macro".to_owned());
            }
            _ => {}
        }
        // The attribute stands in a crate of its own, and is a name and nothing else.
        self.unknown.remove("task");
    }

    fn read_item(&mut self, item: &Item) {
        match item {
            Item::Struct(item) => {
                let head = one_line(&(&item.ident, &item.generics).into_text());
                self.define(&item.ident, &item.attrs, format!("struct {head}"));
                self.read_fields(&item.ident.to_string(), "", &item.fields);
            }
            Item::Enum(item) => {
                let head = one_line(&(&item.ident, &item.generics).into_text());
                self.define(&item.ident, &item.attrs, format!("enum {head}"));
                for variant in &item.variants {
                    let mut variant = variant.clone();
                    variant.attrs.clear();
                    for field in &mut variant.fields {
                        field.attrs.clear();
                    }
                    self.add(
                        &item.ident.to_string(),
                        format!("variant {}", one_line(&variant)),
                    );
                }
            }
            Item::Type(item) => {
                let line = format!("type {} = {}", item.ident, one_line(&item.ty));
                self.define(&item.ident, &item.attrs, line);
            }
            Item::Trait(item) => {
                let line = format!(
                    "trait {} : {}",
                    one_line(&(&item.ident, &item.generics).into_text()),
                    one_line(&item.supertraits)
                );
                self.define(&item.ident, &item.attrs, line);
                for part in &item.items {
                    let line = match part {
                        TraitItem::Type(part) => {
                            format!("type {} : {}", part.ident, one_line(&part.bounds))
                        }
                        TraitItem::Fn(part) => one_line(&part.sig),
                        other => one_line(other),
                    };
                    self.add(&item.ident.to_string(), line);
                }
            }
            Item::Fn(item) if is_public(&item.vis) => {
                self.define(&item.sig.ident, &item.attrs, one_line(&item.sig));
            }
            Item::Impl(item) => self.read_impl(item),
            _ => {}
        }
    }

    fn read_impl(&mut self, item: &ItemImpl) {
        let name = one_line(&item.self_ty);
        let name = name.split([' ', '<']).next().unwrap().to_owned();
        let head = one_line(&(&item.generics, &item.generics.where_clause).into_text());
        if let Some((path, _)) = &item.trait_ {
            let line = format!(
                "impl {head} {} for {}",
                one_line(path),
                one_line(&item.self_ty)
            );
            self.add(&name, line);
            return;
        }
        for part in &item.items {
            if let ImplItem::Fn(part) = part
                && is_public(&part.vis)
            {
                let bound = if head.is_empty() {
                    String::new()
                } else {
                    format!("[{head}] ")
                };
                self.add(&name, format!("{bound}{}", one_line(&part.sig)));
            }
        }
    }

    fn read_fields(&mut self, name: &str, prefix: &str, fields: &Fields) {
        for field in fields.iter().filter(|field| is_public(&field.vis)) {
            let ident = field
                .ident
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            self.add(
                name,
                format!("{prefix}field {ident}: {}", one_line(&field.ty)),
            );
        }
    }

    fn define(&mut self, ident: &syn::Ident, attributes: &[Attribute], line: String) {
        let name = ident.to_string();
        if !self.items.contains_key(&name) {
            return;
        }
        self.unknown.remove(&name);
        self.add(&name, line);
        for attribute in attributes {
            let is_told = ["derive", "non_exhaustive", "must_use"]
                .iter()
                .any(|told| attribute.path().is_ident(told));
            if is_told {
                let text = one_line(&attribute.meta);
                let text = text.split(" = ").next().unwrap().to_owned();
                self.add(&name, format!("#[{text}]"));
            }
        }
    }

    fn add(&mut self, name: &str, line: String) {
        if let Some(lines) = self.items.get_mut(name) {
            lines.insert(line);
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, lines) in &self.items {
            text.push_str(name);
            text.push('\n');
            for line in lines {
                text.push_str("    ");
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }
}

/// Tokens of several things, one after the other.
trait IntoText {
    fn into_text(self) -> proc_macro2::TokenStream;
}

impl<A: ToTokens, B: ToTokens> IntoText for (&A, &B) {
    fn into_text(self) -> proc_macro2::TokenStream {
        let mut tokens = self.0.to_token_stream();
        self.1.to_tokens(&mut tokens);
        tokens
    }
}

fn one_line(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string().replace('\n', " ")
}

fn parsed(path: &Path) -> syn::File {
    let text = std::fs::read_to_string(path).unwrap();
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes
        .iter()
        .any(|attribute| attribute.path().is_ident(name))
}

fn names_of(tree: &UseTree, names: &mut Vec<String>) {
    match tree {
        UseTree::Path(path) => names_of(&path.tree, names),
        UseTree::Name(name) => names.push(name.ident.to_string()),
        UseTree::Rename(rename) => names.push(rename.rename.to_string()),
        UseTree::Group(group) => {
            for tree in &group.items {
                names_of(tree, names);
            }
        }
        UseTree::Glob(_) => panic!("a glob says nothing about what is public"),
    }
}

//! `docs/plugin-contract.md` is what the contract's own doc comments say. With `DRIPLINE_WRITE_DOCS` set, this test
//! writes the page instead of comparing it.

use std::fmt::Write as _;
use std::path::Path;

use wit_parser::{Docs, Function, Interface, Resolve, Type, TypeDef, TypeDefKind};

const HEAD: &str = "<!-- Made from plugins/wit/dripline.wit. To make it again: DRIPLINE_WRITE_DOCS=1 cargo xtask \
                    test -E 'test(contract_page)' -->\n\n# The plugin contract\n\n";

#[test]
fn the_contract_page_says_what_the_contract_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let fresh = page(&root.join("plugins/wit"));
    let path = root.join("docs/plugin-contract.md");
    if std::env::var_os("DRIPLINE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed == fresh,
        "run DRIPLINE_WRITE_DOCS=1 cargo xtask test -E 'test(contract_page)' and commit {}",
        path.display()
    );
}

fn page(folder: &Path) -> String {
    let mut resolve = Resolve::new();
    let (id, _) = resolve.push_dir(folder).unwrap();
    let package = &resolve.packages[id];
    let mut page = format!("{HEAD}`{}`\n\n{}", package.name, text(&package.docs));
    for id in package.interfaces.values() {
        interface(&resolve, &resolve.interfaces[*id], &mut page);
    }
    page.truncate(page.trim_end().len());
    page + "\n"
}

fn interface(resolve: &Resolve, interface: &Interface, page: &mut String) {
    let name = interface.name.as_deref().unwrap();
    let _ = write!(page, "## `{name}`\n\n{}", text(&interface.docs));
    for id in interface.types.values() {
        type_of(resolve, &resolve.types[*id], page);
    }
    for function in interface.functions.values() {
        let _ = write!(
            page,
            "### `{}: {}`\n\n{}",
            function.name,
            signature(resolve, function),
            text(&function.docs)
        );
    }
}

fn type_of(resolve: &Resolve, def: &TypeDef, page: &mut String) {
    let name = def.name.as_deref().unwrap();
    let rows: Vec<(String, &Docs)> = match &def.kind {
        TypeDefKind::Record(record) => record
            .fields
            .iter()
            .map(|field| (format!("`{}: {}`", field.name, word(resolve, &field.ty)), &field.docs))
            .collect(),
        TypeDefKind::Enum(of) => {
            of.cases.iter().map(|case| (format!("`{}`", case.name), &case.docs)).collect()
        }
        TypeDefKind::Variant(of) => of
            .cases
            .iter()
            .map(|case| {
                let of = case.ty.as_ref().map(|of| format!("({})", word(resolve, of)));
                (format!("`{}{}`", case.name, of.unwrap_or_default()), &case.docs)
            })
            .collect(),
        // A type that another interface has.
        _ => return,
    };
    let _ = write!(page, "### {} `{name}`\n\n{}", def.kind.as_str(), text(&def.docs));
    page.push_str("| | |\n|---|---|\n");
    for (left, docs) in rows {
        let right = text(docs).replace('\n', " ");
        let _ = writeln!(page, "| {left} | {} |", right.trim().replace('|', "\\|"));
    }
    page.push('\n');
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let of = |param: &wit_parser::Param| format!("{}: {}", param.name, word(resolve, &param.ty));
    let params: Vec<String> = function.params.iter().map(of).collect();
    let result = function.result.as_ref().map(|result| format!(" -> {}", word(resolve, result)));
    format!("func({}){}", params.join(", "), result.unwrap_or_default())
}

fn word(resolve: &Resolve, of: &Type) -> String {
    let Type::Id(id) = of else { return format!("{of:?}").to_lowercase() };
    let def = &resolve.types[*id];
    if let Some(name) = &def.name {
        return name.clone();
    }
    let word = |of: &Type| word(resolve, of);
    match &def.kind {
        TypeDefKind::List(of) => format!("list<{}>", word(of)),
        TypeDefKind::Option(of) => format!("option<{}>", word(of)),
        TypeDefKind::Tuple(of) => {
            format!("tuple<{}>", of.types.iter().map(word).collect::<Vec<_>>().join(", "))
        }
        TypeDefKind::Result(of) => {
            let side = |side: &Option<Type>| side.as_ref().map_or("_".to_owned(), word);
            format!("result<{}, {}>", side(&of.ok), side(&of.err))
        }
        other => panic!("the contract has a {} now", other.as_str()),
    }
}

/// A doc comment as Markdown, with an empty line behind it.
fn text(docs: &Docs) -> String {
    docs.contents.as_deref().map_or_else(String::new, |text| format!("{}\n\n", text.trim()))
}

//! `docs/defects.md` names a test for each defect: each of them exists.

use std::{
    fs,
    path::{Path, PathBuf},
};

const DEFECTS: usize = 24;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns whether the text of a file has that test: a `#[test]` function, or a run of a `qemu.toml`.
fn has_test(path: &str, text: &str, name: &str) -> bool {
    if path.ends_with(".toml") {
        let line = format!("name = \"{name}\"");
        return text.lines().any(|other| other == line);
    }
    let Some(at) = text.find(&format!("fn {name}(")) else {
        return false;
    };
    // Only attributes are between the two.
    let before = text[..at].trim_end();
    let attributes = before.lines().rev().map(str::trim);
    let mut attributes = attributes.take_while(|line| line.starts_with('#'));
    attributes.any(|line| line == "#[test]")
}

#[test]
fn each_defect_names_tests_that_exist() {
    let page = read(&root().join("docs/defects.md"));
    let mut counts: Vec<usize> = Vec::new();
    for line in page.lines() {
        if let Some((number, _)) = line.split_once(". ")
            && let Ok(number) = number.parse::<usize>()
        {
            counts.push(0);
            assert_eq!(number, counts.len(), "{line}");
        }
        if let Some(entry) = line.trim().strip_prefix("- `") {
            let (path, name) = entry
                .strip_suffix('`')
                .and_then(|entry| entry.split_once("`: `"))
                .unwrap_or_else(|| panic!("not `file`: `test`: {line}"));
            let text = read(&root().join(path));
            assert!(has_test(path, &text, name), "{path} has no test {name}");
            *counts.last_mut().expect("a defect comes first") += 1;
        }
    }
    assert_eq!(counts.len(), DEFECTS);
    assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
}

#[test]
fn a_missing_test_is_noticed() {
    let text = "#[test]\n#[ignore]\nfn there() {}\nfn helper() {}\n";
    assert!(has_test("x.rs", text, "there"));
    assert!(!has_test("x.rs", text, "helper"));
    assert!(!has_test("x.rs", text, "ther"));
    assert!(has_test("x.toml", "name = \"a, b\"\n", "a, b"));
    assert!(!has_test("x.toml", "name = \"a, b\"\n", "a"));
}

/// What one copy of a library would define for all.
#[test]
fn no_library_exports_a_symbol() {
    let libraries = fs::read_dir(root()).unwrap();
    let mut files: Vec<PathBuf> = libraries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("Cargo.toml").is_file() && path.join("src/lib.rs").is_file())
        .map(|path| path.join("src"))
        .collect();
    assert!(files.len() >= 6, "{files:?}");
    while let Some(path) = files.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            files.extend(entries.map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = read(&path);
        for word in [
            "no_mangle",
            "export_name",
            "global_asm!",
            ".global",
            ".globl",
        ] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

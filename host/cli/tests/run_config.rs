//! `ocr-host config`: everything that is wrong is found at once, with its line; what holds is shown with where it comes
//! from; the schema agrees with both.

mod plugin_support;

use plugin_support::{ocr_host, refused, repository, run};
use serde_json::Value;
use std::path::Path;

fn write(folder: &Path, text: &str) {
    std::fs::write(folder.join("ocr-host.toml"), text).unwrap();
}

#[test]
fn all_errors_come_in_one_go_each_with_its_line_and_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "frmat = 'md'\n\
         page-timeout = '10ms'\n\
         [plugin-opt.html-uot]\n\
         boxes = true\n\
         [plugin-opt.html-out]\n\
         boxes = 'maybe'\n\
         [workflow.w]\n\
         inputs = ['nowhere/*.pdf']\n\
         to = ['docx', 'md']\n\
         plugin = ['missing.wasm']\n\
         pages = '3-1'\n\
         models = 'no-such-folder'\n\
         [tenant.a]\n\
         output = 'out'\n\
         workflows = ['w']\n\
         plugins.markdown-out = 'sha256:0000000000000000000000000000000000000000000000000000000000000000'\n\
         force = [{ plugin = 'markdown-out' }]\n\
         [tenant.b]\n\
         output = './x/../out'\n\
         workflows = ['v']\n\
         limits.memory = 'lots'\n",
    );
    let words = [
        "ocr-host.toml:1:1",
        "there is no key `frmat`",
        "ocr-host.toml:2:16",
        "too short",
        "there is no plugin `html-uot`",
        "did you mean `html-out`?",
        "ocr-host.toml:6:9",
        "ocr-host.toml:8:11",
        "nothing is at",
        "docx: there is no such format",
        "ocr-host.toml:10:11",
        "runs backwards",
        "there is no folder",
        "is not the one that tenant `a` trusts",
        "page processors alone are forced",
        "the folder of tenant `b` is that of tenant `a`",
        "there is no workflow `v`",
        "`lots` is no size",
        "9 | to = ['docx', 'md']",
        "^^^^^^",
    ];
    refused(folder.path(), &["config", "check"], 9, &words);
    let ran = run(folder.path(), &["config", "check"]);
    assert!(
        ran.out.contains("1 workflow, 2 tenants; 13 errors, 1 warning"),
        "{}{}",
        ran.out,
        ran.err
    );
    // A conversion does not begin with such a file either.
    refused(
        folder.path(),
        &["a.pdf"],
        9,
        &["there is no key `frmat`", "did you mean"],
    );
}

#[test]
fn a_file_without_faults_is_silent_on_standard_error() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "to = ['md']\n[plugin-opt.html-out]\npage-images = 'none'\n[workflow.w]\nto = ['html']\n",
    );
    let ran = run(folder.path(), &["config", "check"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert_eq!(
        ran.out,
        "ocr-host.toml: 1 workflow, 0 tenants; 0 errors, 0 warnings\n"
    );
    refused(
        tempfile::tempdir().unwrap().path(),
        &["config", "check"],
        9,
        &["--config FILE"],
    );
    // Whoever needs a file that is not there ends alike.
    let empty = tempfile::tempdir().unwrap();
    for args in [
        &["config", "show", "w"][..],
        &["config", "show", "--tenant", "a"],
        &["run", "w"],
    ] {
        refused(
            empty.path(),
            args,
            9,
            &["there is no ocr-host.toml here", "--config FILE"],
        );
    }
    for args in [
        &["config", "check", "--config", "none.toml"][..],
        &["run", "w", "--config", "none.toml"],
        &["--config", "none.toml", "a.pdf"],
    ] {
        refused(empty.path(), args, 9, &["none.toml: can't be read"]);
    }
}

#[test]
fn what_holds_is_shown_with_where_it_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "dpi = 200\nmodel = 'ppocr'\npdf-password = 'hunter2'\n[workflow.w]\ndpi = 300\nto = ['md', 'json']\n\
         [tenant.a]\noutput = 'out'\nworkflows = ['w']\nquota.pages = 7\n",
    );
    let mut command = ocr_host(
        folder.path(),
        &["config", "show", "w", "--tenant", "a", "--jobs", "2"],
    );
    let shown = command.env("OCR_HOST_DEVICE", "cpu").output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let line = |key: &str| {
        let line = shown
            .lines()
            .find(|line| line.split_whitespace().next() == Some(key));
        line.unwrap_or_else(|| panic!("{key}: {shown}"))
            .split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("dpi"), "300 ocr-host.toml:5 [workflow.w]");
    assert_eq!(line("model"), "ppocr ocr-host.toml:2");
    assert_eq!(line("jobs"), "2 command line");
    assert_eq!(line("device"), "cpu environment, OCR_HOST_DEVICE");
    assert_eq!(line("mode"), "gundam default");
    assert_eq!(line("pdf-password"), "(set) ocr-host.toml:3");
    assert_eq!(line("quota.pages"), "7 ocr-host.toml:10 [tenant.a]");
    // A tenant's folder as its files get it, and options that nobody has set.
    let output = "output  out/w  ocr-host.toml:8 [tenant.a], and the workflow's name";
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.lines().any(|line| words(line) == words(output)), "{shown}");
    let default = "plugin-opt markdown-out.images=auto default of markdown-out";
    assert!(
        shown.lines().any(|line| words(line).starts_with(default)),
        "{shown}"
    );
    assert_eq!(line("weight"), "1 default");
    assert!(!shown.contains("hunter2"));
}

/// What is wrong with `value` by `schema`, as far as the schema's words go.
fn faults(schema: &Value, whole: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => &whole["$defs"][reference.rsplit('/').next().unwrap()],
        None => schema,
    };
    if let Some(each) = schema["anyOf"].as_array() {
        let fits = |one: &Value| {
            let mut wrong = Vec::new();
            faults(one, whole, value, at, &mut wrong);
            wrong.is_empty()
        };
        if !each.iter().any(fits) {
            found.push(format!("{at}: fits none"));
        }
        return;
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        found.push(format!("{at}: {value} is no choice"));
    }
    let is = match schema["type"].as_str() {
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some(other) => panic!("{other}"),
        None => true,
    };
    if !is {
        found.push(format!("{at}: {value} is no {}", schema["type"]));
    }
    if let Some(number) = value.as_f64() {
        let below = schema["minimum"].as_f64().is_some_and(|least| number < least)
            || schema["exclusiveMinimum"]
                .as_f64()
                .is_some_and(|least| number <= least);
        if below || schema["maximum"].as_f64().is_some_and(|most| number > most) {
            found.push(format!("{at}: {value} is out of range"));
        }
    }
    for item in value.as_array().into_iter().flatten() {
        faults(&schema["items"], whole, item, at, found);
    }
    for (key, item) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{key}");
        match (&schema["properties"][key], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => found.push(format!("{at}: unknown")),
            (Value::Null, more) if more.is_object() => faults(more, whole, item, &at, found),
            (Value::Null, _) => {}
            (known, _) => faults(known, whole, item, &at, found),
        }
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        if value.get(required.as_str().unwrap()).is_none() {
            found.push(format!("{at}: lacks {required}"));
        }
    }
}

#[test]
fn the_schema_takes_and_refuses_what_the_program_does() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(folder.path(), &["config", "schema"]);
    let schema: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let example = std::fs::read_to_string(repository().join("examples/workflows/ocr-host.toml")).unwrap();
    let digest = format!("sha256:{}", "0".repeat(64));
    let cases = [
        (example.as_str(), true),
        (
            "dpi = 300\nto = ['md']\nretry-modes = ['base']\npages = '1-3'\nfallback = 'none'\nstream = true",
            true,
        ),
        (
            "gpu-memory-utilization = 0.5\npage-timeout = 90\n[plugin-limit]\nmemory = '1GiB'\nhandles = 10",
            true,
        ),
        (
            "[grants]\ntidy = ['page.raster']\n[plugin-opt.html-out]\nboxes = true",
            true,
        ),
        ("dpi = 30", false),
        ("dpi = '300'", false),
        ("to = 'md'", false),
        ("fallback = 'magic'", false),
        ("timings = 1", false),
        ("gpu-memory-utilization = 0", false),
        ("[plugin-limit]\nmemroy = 1", false),
        ("[workflow.w]\nquota = 1", false),
        ("[workflow.w]\ninputs = 'in'", false),
        ("[tenant.t]\nworkflows = []", false),
        ("[tenant.t]\noutput = 'o'\nweight = 0", false),
        (
            "[tenant.t]\noutput = 'o'\nworkflows = []\nforce = [{ place = 'last' }]",
            false,
        ),
        (
            "[tenant.t]\noutput = 'o'\nworkflows = []\nquota = { pages = -1 }",
            false,
        ),
        (
            "[tenant.t]\noutput = 'o'\nworkflows = []\ncapabilities = ['page.rasters']",
            false,
        ),
    ];
    for (text, is_right) in cases {
        let value: toml::Value = toml::from_str(text).unwrap();
        let mut found = Vec::new();
        faults(
            &schema,
            &schema,
            &serde_json::to_value(value).unwrap(),
            "",
            &mut found,
        );
        assert_eq!(found.is_empty(), is_right, "{text}: {found:?}");
        write(folder.path(), text);
        let ran = run(folder.path(), &["config", "show"]);
        assert_eq!(ran.code == 0, is_right, "{text}: {}{}", ran.out, ran.err);
    }
    let pinned = format!("[tenant.t]\noutput = 'o'\nplugins.x = '{digest}'\n");
    write(folder.path(), &pinned);
    assert_eq!(run(folder.path(), &["config", "show"]).code, 0);
}

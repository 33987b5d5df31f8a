//! `ocr-host run`: workflows and tenants as an operator has them, with the embedded engine.

mod plugin_support;

use plugin_support::{Ran, example, hello, ocr_host, refused, renamed, run};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A folder with a configuration and a document of the examples as `in/receipt.png`.
fn folder(toml: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "ocr-host.toml", toml);
    std::fs::create_dir(folder.path().join("in")).unwrap();
    std::fs::copy(example("receipt.png"), folder.path().join("in/receipt.png")).unwrap();
    folder
}

fn report(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("report.json")).unwrap()).unwrap()
}

/// Statuses of a report's documents.
fn statuses(report: &Value) -> Vec<&str> {
    let documents = report["documents"].as_array().unwrap();
    documents.iter().map(|d| d["status"].as_str().unwrap()).collect()
}

fn ok(ran: &Ran) {
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
}

/// Waits until something holds, half a minute at most.
fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_workflow_has_settings_of_its_own_and_flags_win() {
    let folder = folder(
        "model = 'ppocr'\nto = ['html']\n[workflow.receipts]\ninputs = ['in']\noutput = 'out'\nto = ['md', 'json']\n",
    );
    ok(&run(folder.path(), &["run", "receipts"]));
    let out = folder.path().join("out");
    assert!(out.join("receipt.md").exists() && out.join("receipt.json").exists());
    assert!(!out.join("receipt.html").exists());
    assert_eq!(report(&out)["workflow"], "receipts");
    assert!(report(&out)["tenant"].is_null());
    ok(&run(
        folder.path(),
        &["run", "receipts", "--to", "html", "-o", "other"],
    ));
    assert!(folder.path().join("other/receipt.html").exists());
    assert!(!folder.path().join("other/receipt.md").exists());
    // Without a folder, one document in one format goes to standard output, as a conversion's does.
    let ran = run(
        folder.path(),
        &["run", "receipts", "--to", "md", "-o", "x", "nothing.png"],
    );
    assert_eq!(ran.code, 5, "{}", ran.err);
    refused(
        folder.path(),
        &["run", "receipt"],
        1,
        &["did you mean `receipts`?"],
    );
    refused(
        folder.path(),
        &["run", "receipts", "--tenant", "acme"],
        1,
        &["there is no tenant `acme`"],
    );
}

const TENANTS: &str = "\
model = 'ppocr'
[workflow.receipts]
inputs = ['in']
[workflow.private]
inputs = ['in']
[tenant.acme]
output = 'out/acme'
workflows = ['receipts']
[tenant.bolt]
output = 'out/bolt'
workflows = ['receipts', 'private']
weight = 3
";

#[test]
fn tenants_write_to_their_own_folders_and_hear_nothing_of_each_other() {
    let folder = folder(TENANTS);
    std::fs::copy(example("receipt.png"), folder.path().join("in/second.png")).unwrap();
    ok(&run(
        folder.path(),
        &["run", "receipts", "--tenant", "acme", "--tenant", "bolt"],
    ));
    for tenant in ["acme", "bolt"] {
        let out = folder.path().join("out").join(tenant).join("receipts");
        assert!(
            out.join("receipt.md").exists() && out.join("second.md").exists(),
            "{tenant}"
        );
        let report = report(&out);
        assert_eq!(
            (&report["tenant"], &report["exit_code"]),
            (&tenant.into(), &0.into())
        );
        assert_eq!(statuses(&report), ["success", "success"]);
        assert_eq!(report["quota"]["pages"]["used"], 2);
        let other = if tenant == "acme" { "bolt" } else { "acme" };
        assert!(!report.to_string().contains(other), "{report}");
    }
    refused(
        folder.path(),
        &["run", "private", "--tenant", "acme"],
        1,
        &[
            "tenant `acme` may not run workflow `private`",
            "ocr-host.toml:6",
            "it may run receipts",
        ],
    );
    refused(
        folder.path(),
        &["run", "receipts", "--tenant", "acme", "-o", "elsewhere"],
        1,
        &["writes to its own folder alone"],
    );
}

#[test]
fn folders_that_meet_are_refused_before_anything_is_read() {
    let folder = folder(&TENANTS.replace("'out/bolt'", "'out/./x/../acme/inner'"));
    let words = [
        "the folder of tenant `bolt` lies in that of tenant `acme`",
        "ocr-host.toml:10:10",
        "ocr-host.toml:7:10",
    ];
    refused(folder.path(), &["run", "receipts", "--tenant", "acme"], 9, &words);
    refused(folder.path(), &["config", "check"], 9, &words);
    assert!(!folder.path().join("out").exists());
}

#[cfg(unix)]
#[test]
fn a_link_in_a_tenants_folder_leads_nowhere() {
    let folder = folder(TENANTS);
    std::fs::create_dir_all(folder.path().join("out/acme")).unwrap();
    std::fs::create_dir_all(folder.path().join("out/bolt")).unwrap();
    std::os::unix::fs::symlink("../bolt", folder.path().join("out/acme/receipts")).unwrap();
    refused(
        folder.path(),
        &["run", "receipts", "--tenant", "acme"],
        5,
        &["is no folder but a link"],
    );
    assert_eq!(
        std::fs::read_dir(folder.path().join("out/bolt")).unwrap().count(),
        0
    );
    // Neither does one at the place of a folder of the input.
    std::fs::remove_file(folder.path().join("out/acme/receipts")).unwrap();
    std::fs::create_dir(folder.path().join("out/acme/receipts")).unwrap();
    std::os::unix::fs::symlink("../../bolt", folder.path().join("out/acme/receipts/sub")).unwrap();
    std::fs::create_dir(folder.path().join("in/sub")).unwrap();
    std::fs::rename(
        folder.path().join("in/receipt.png"),
        folder.path().join("in/sub/receipt.png"),
    )
    .unwrap();
    let ran = run(folder.path(), &["run", "receipts", "--tenant", "acme"]);
    assert_eq!(ran.code, 5, "{}", ran.err);
    assert_eq!(
        std::fs::read_dir(folder.path().join("out/bolt")).unwrap().count(),
        0
    );
}

#[cfg(unix)]
#[test]
fn what_a_tenant_puts_into_its_inbox_leads_to_nobody_elses_documents() {
    let folder = folder(
        &TENANTS
            .replace("inputs = ['in']\n[workflow.private]", "[workflow.private]")
            .replace(
                "'out/acme'\n",
                "'out/acme'\ninputs = ['inbox/acme/*/*.png', 'inbox/acme/*.png']\n",
            )
            .replace("'out/bolt'\n", "'out/bolt'\ninputs = ['inbox/bolt']\n"),
    );
    let (acme, bolt) = (folder.path().join("inbox/acme"), folder.path().join("inbox/bolt"));
    std::fs::create_dir_all(acme.join("own")).unwrap();
    std::fs::create_dir_all(&bolt).unwrap();
    std::fs::copy(example("receipt.png"), acme.join("own/mine.png")).unwrap();
    std::fs::copy(example("receipt.png"), bolt.join("secret.png")).unwrap();
    // A folder link, a link and a second name, each to what is bolt's.
    std::os::unix::fs::symlink("../bolt", acme.join("theirs")).unwrap();
    std::os::unix::fs::symlink("../bolt/secret.png", acme.join("link.png")).unwrap();
    std::fs::hard_link(bolt.join("secret.png"), acme.join("name.png")).unwrap();
    let flags = ["run", "receipts", "--tenant", "acme", "--tenant", "bolt"];
    let ran = run(folder.path(), &flags);
    assert_eq!(ran.code, 21, "{}", ran.err);
    let out = folder.path().join("out/acme/receipts");
    assert!(out.join("mine.md").exists());
    let report = report(&out);
    for (name, why) in [
        ("theirs/secret.png", "theirs on the way to it is a link"),
        ("acme/link.png", "it is a link; a tenant's documents are files"),
        ("acme/name.png", "it has 2 names (hard links)"),
    ] {
        let documents = report["documents"].as_array().unwrap();
        let refused = documents
            .iter()
            .find(|d| d["input"].as_str().unwrap().ends_with(name));
        let refused = refused.unwrap_or_else(|| panic!("{name}: {report:#}"));
        assert_eq!(refused["status"], "failure", "{refused:#}");
        assert!(refused.to_string().contains(why), "{refused:#}");
    }
    assert_eq!(
        std::fs::read_dir(&out).unwrap().count(),
        2,
        "mine.md and report.json"
    );
    // Nor does it keep bolt from its own: a second name is told of there as well, with what to do.
    assert!(
        ran.err.contains("bolt: ") && ran.err.contains("copy it here"),
        "{}",
        ran.err
    );
    std::fs::remove_file(acme.join("name.png")).unwrap();
    ok(&run(folder.path(), &["run", "receipts", "--tenant", "bolt"]));
    // Whoever runs it for nobody in particular reads what it is given.
    let linked = acme.join("link.png").display().to_string();
    ok(&run(folder.path(), &["run", "receipts", "-o", "plain", &linked]));
}

#[test]
fn an_empty_inbox_is_nobody_elses_business() {
    let folder = folder(
        &TENANTS
            .replace("'out/acme'\n", "'out/acme'\ninputs = ['in']\n")
            .replace("'out/bolt'\n", "'out/bolt'\ninputs = ['inbox']\n"),
    );
    std::fs::create_dir(folder.path().join("inbox")).unwrap();
    let ran = run(
        folder.path(),
        &["run", "receipts", "--tenant", "acme", "--tenant", "bolt"],
    );
    assert_eq!(ran.code, 21, "{}", ran.err);
    assert!(
        ran.err.contains("inbox: no documents in this folder"),
        "{}",
        ran.err
    );
    let of = |tenant: &str| report(&folder.path().join("out").join(tenant).join("receipts"));
    let (acme, bolt) = (of("acme"), of("bolt"));
    assert_eq!(
        (&acme["exit_code"], statuses(&acme)),
        (&0.into(), vec!["success"])
    );
    assert_eq!(
        (&bolt["exit_code"], statuses(&bolt)),
        (&2.into(), vec!["failure"])
    );
    assert_eq!(bolt["quota"]["documents"]["used"], 0, "an empty folder is none");
    // Where nobody has anything, it is most often a mistake.
    let words = ["inbox: no documents in this folder"];
    refused(folder.path(), &["run", "receipts", "--tenant", "bolt"], 2, &words);
}

#[test]
fn documents_inside_documents_count_as_input() {
    let folder = folder(&format!("{TENANTS}[tenant.acme.quota]\ninput-bytes = '200KB'\n"));
    std::fs::remove_file(folder.path().join("in/receipt.png")).unwrap();
    let bytes = std::fs::read(example("receipt.png")).unwrap();
    let mut zip = zip::ZipWriter::new(std::fs::File::create(folder.path().join("in/all.zip")).unwrap());
    // The same picture with what is packed well behind it: the archive is small, what is in it is not.
    for name in ["a.png", "b.png", "c.png"] {
        use std::io::Write;
        zip.start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(&[&bytes[..], &vec![0; 60_000]].concat()).unwrap();
    }
    zip.finish().unwrap();
    let (outer, inner) = (
        std::fs::metadata(folder.path().join("in/all.zip")).unwrap().len(),
        bytes.len() as u64 + 60_000,
    );
    assert!(
        outer + inner < 200_000 && outer + 3 * inner > 200_000,
        "{outer} {inner}"
    );
    let ran = run(folder.path(), &["run", "receipts", "--tenant", "acme"]);
    assert_eq!(ran.code, 20, "{}", ran.err);
    assert!(
        ran.err.contains("the quota `input-bytes` of 200000"),
        "{}",
        ran.err
    );
    let acme = report(&folder.path().join("out/acme/receipts"));
    let read = (200_000 - outer) / inner;
    let pages = acme["documents"][0]["pages"].as_array().unwrap();
    let complete = pages.iter().filter(|p| p["status"] == "complete").count() as u64;
    assert_eq!(complete, read, "{acme:#}");
    assert_eq!(acme["quota"]["input-bytes"]["used"], outer + read * inner);
    ok(&run(folder.path(), &["run", "receipts", "--tenant", "bolt"]));
}

#[test]
fn files_of_deepseeks_scripts_are_those_of_the_tenants_documents() {
    let folder = folder(TENANTS);
    ok(&run(
        folder.path(),
        &["run", "receipts", "--tenant", "acme", "--compat", "deepseek"],
    ));
    let out = folder.path().join("out/acme/receipts");
    assert!(out.join("result.mmd").exists() && out.join("result_with_boxes.jpg").exists());
    std::fs::copy(example("receipt.png"), folder.path().join("in/second.png")).unwrap();
    ok(&run(
        folder.path(),
        &["run", "receipts", "--tenant", "bolt", "--compat", "deepseek"],
    ));
    let out = folder.path().join("out/bolt/receipts");
    assert!(out.join("receipt_det.md").exists() && out.join("second_det.md").exists());
    refused(
        folder.path(),
        &[
            "run", "receipts", "--tenant", "bolt", "--compat", "deepseek", "--to", "md",
        ],
        1,
        &["writes NAME.md for each of several images"],
    );
}

#[test]
fn options_that_a_plugin_does_not_take_are_told_of_before_anything_is_read() {
    let workflow =
        "model = 'ppocr'\n[workflow.w]\ninputs = ['in']\noutput = 'out'\nto = ['md']\nplugin = ['redact']\n";
    let wrong = folder(&format!(
        "{workflow}[workflow.w.plugin-opt.redact]\npatterns = ['AZ-(']\n"
    ));
    let words = [
        "plugin `redact`: its options are wrong",
        "`patterns`",
        "ocr-host.toml",
    ];
    refused(wrong.path(), &["config", "check"], 9, &words);
    refused(
        wrong.path(),
        &["config", "check"],
        9,
        &["ocr-host.toml:8:", "AZ-("],
    );
    refused(wrong.path(), &["run", "w"], 9, &words);
    refused(wrong.path(), &["run", "w"], 9, &["ocr-host.toml, line 8"]);
    assert!(!wrong.path().join("out").exists());
    // A flag's are the command line's fault, and may give what the file leaves open.
    let open = folder(workflow);
    let checked = run(open.path(), &["config", "check"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    assert!(
        checked.err.contains("warning: plugin `redact`"),
        "{}",
        checked.err
    );
    refused(
        open.path(),
        &["run", "w", "--plugin-opt", "redact.patterns=("],
        1,
        &["`patterns`"],
    );
    ok(&run(
        open.path(),
        &["run", "w", "--plugin-opt", "redact.terms=LANTERN"],
    ));
    // What a tenant forces is held to the same.
    let forced = folder(&FORCED.replace("terms = ['LANTERN']", "patterns = ['[']"));
    for args in [&["config", "check"][..], &["run", "receipts", "--tenant", "acme"]] {
        refused(
            forced.path(),
            args,
            9,
            &["plugin `redact`: its options are wrong", "ocr-host.toml:10:"],
        );
    }
}

#[test]
fn a_quota_that_is_used_up_skips_the_rest_and_others_go_on() {
    let folder = folder(&format!("{TENANTS}[tenant.acme.quota]\npages = 2\n"));
    std::fs::copy(example("report.pdf"), folder.path().join("in/a.pdf")).unwrap();
    let ran = run(
        folder.path(),
        &["run", "receipts", "--tenant", "acme", "--tenant", "bolt"],
    );
    // a.pdf has three pages: it has both of the quota, or the receipt has one of them.
    let acme = report(&folder.path().join("out/acme/receipts"));
    assert_eq!(acme["quota"]["pages"], serde_json::json!({"used": 2, "limit": 2}));
    let (ended, whole) = (statuses(&acme), ["success", "success"]);
    assert!(
        ended.contains(&"skipped") || ended.contains(&"partial-success"),
        "{ended:?}"
    );
    let text = acme.to_string();
    assert!(
        text.contains("the quota `pages` of 2 of tenant `acme` is used up (ocr-host.toml:14)"),
        "{text}"
    );
    let bolt = report(&folder.path().join("out/bolt/receipts"));
    assert_eq!((statuses(&bolt), &bolt["exit_code"]), (whole.to_vec(), &0.into()));
    assert!([20, 21].contains(&ran.code), "{}: {}", ran.code, ran.err);
    assert_eq!(acme["exit_code"].as_i64(), Some(ran.code.into()));

    // Quotas of documents and bytes are looked at before a document is begun.
    for (quota, place) in [
        ("documents = 0", "`documents` of 0"),
        ("input-bytes = 10", "`input-bytes` of 10"),
    ] {
        write(
            folder.path(),
            "ocr-host.toml",
            &format!("{TENANTS}[tenant.acme.quota]\n{quota}\n"),
        );
        let ran = run(folder.path(), &["run", "receipts", "--tenant", "acme"]);
        let acme = report(&folder.path().join("out/acme/receipts"));
        assert_eq!(
            (ran.code, statuses(&acme)),
            (21, vec!["skipped", "skipped"]),
            "{}",
            ran.err
        );
        assert!(
            ran.err.contains(place) && ran.err.contains("ocr-host.toml:14"),
            "{}",
            ran.err
        );
    }
    // What is written counts while it is written.
    write(
        folder.path(),
        "ocr-host.toml",
        &format!("{TENANTS}[tenant.acme.quota]\noutput-bytes = 100\n"),
    );
    let ran = run(folder.path(), &["run", "receipts", "--tenant", "acme"]);
    assert!(ran.err.contains("`output-bytes` of 100"), "{}", ran.err);
    let acme = report(&folder.path().join("out/acme/receipts"));
    assert!(
        acme["quota"]["output-bytes"]["used"].as_u64().unwrap() <= 100,
        "{acme}"
    );
    assert!(
        !ran.err.contains("--plugin-limit"),
        "that would not help: {}",
        ran.err
    );
}

#[test]
fn plugins_of_a_tenant_are_those_whose_digests_it_names() {
    let folder = folder("");
    let mine = folder.path().join("mine.wasm");
    std::fs::copy(hello(), &mine).unwrap();
    let toml = |more: &str| {
        format!(
            "model = 'ppocr'\n[workflow.hello]\ninputs = ['in']\nplugin = ['mine.wasm']\n\
             [tenant.acme]\noutput = 'out'\nworkflows = ['hello']\n{more}"
        )
    };
    write(folder.path(), "ocr-host.toml", &toml(""));
    let words = [
        "`hello-formatter` (sha256:",
        "is not among the plugins of tenant `acme`",
        "ocr-host.toml:7:14",
    ];
    refused(folder.path(), &["run", "hello", "--tenant", "acme"], 9, &words);
    refused(folder.path(), &["config", "check"], 9, &words);
    let digest = ocr_digest(&mine);
    let pinned = format!("[tenant.acme.plugins]\nhello-formatter = 'sha256:{digest}'\n");
    write(folder.path(), "ocr-host.toml", &toml(&pinned));
    ok(&run(folder.path(), &["config", "check"]));
    ok(&run(folder.path(), &["run", "hello", "--tenant", "acme"]));
    assert!(folder.path().join("out/hello/receipt.txt").exists());
    // Another component in its place is another one, whatever it is called.
    std::fs::write(&mine, renamed("hello-formatter", "0.1.1")).unwrap();
    let words = [
        "is not the one that tenant `acme` trusts",
        "ocr-host.toml:9:19",
        &ocr_digest(&mine)[..],
    ];
    refused(folder.path(), &["run", "hello", "--tenant", "acme"], 9, &words);
    // One that no workflow names is looked at as well.
    write(
        folder.path(),
        "ocr-host.toml",
        &toml(&pinned)
            .replace("plugin = ['mine.wasm']\n", "")
            .replace("hello-formatter =", "'mine.wasm' ="),
    );
    refused(
        folder.path(),
        &["config", "check"],
        9,
        &["is not the one that tenant `acme` trusts"],
    );
    // A flag brings no stranger in either.
    write(folder.path(), "ocr-host.toml", TENANTS);
    refused(
        folder.path(),
        &["run", "receipts", "--tenant", "acme", "--plugin", "mine.wasm"],
        9,
        &["is not among the plugins of tenant `acme`"],
    );
}

fn ocr_digest(path: &Path) -> String {
    let ran = run(
        path.parent().unwrap(),
        &["plugin", "inspect", path.to_str().unwrap()],
    );
    let line = ran
        .out
        .lines()
        .find(|line| line.starts_with("sha256"))
        .expect("it is shown");
    line.split_whitespace().nth(1).unwrap().to_owned()
}

/// A workflow for a tenant that takes a word of the receipt away.
const FORCED: &str = "\
model = 'ppocr'
[workflow.receipts]
inputs = ['in']
to = ['md', 'json']
[tenant.acme]
output = 'out'
workflows = ['receipts']
[[tenant.acme.force]]
plugin = 'redact'
options = { terms = ['LANTERN'] }
";

fn written(folder: &Path) -> String {
    let out = folder.join("out/receipts");
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap_or_default();
    read("receipt.md") + &read("receipt.json") + &read("report.json")
}

#[test]
fn what_a_tenant_forces_can_not_be_loosened() {
    let plain = folder(&FORCED[..FORCED.find("[[tenant").unwrap()]);
    ok(&run(plain.path(), &["run", "receipts", "--tenant", "acme"]));
    assert!(
        written(plain.path()).to_lowercase().contains("lantern"),
        "the word is there without it"
    );

    let folder = folder(FORCED);
    ok(&run(folder.path(), &["run", "receipts", "--tenant", "acme"]));
    let redacted = written(folder.path());
    assert!(
        !redacted.is_empty() && !redacted.to_lowercase().contains("lantern"),
        "{redacted}"
    );
    // By a flag that names it, by one that names none, by a workflow, by one's own instance, by a file of its name.
    refused(
        folder.path(),
        &[
            "run",
            "receipts",
            "--tenant",
            "acme",
            "--plugin-opt",
            "redact.terms=zzz",
        ],
        1,
        &["tenant `acme` forces `redact`, and its options are set there alone"],
    );
    let words = ["no plugin of this run takes `terms`"];
    refused(
        folder.path(),
        &["run", "receipts", "--tenant", "acme", "--plugin-opt", "terms=zzz"],
        1,
        &words,
    );
    refused(
        folder.path(),
        &["run", "receipts", "--tenant", "acme", "--stream"],
        1,
        &["--stream shows the model's text as no processor has seen it"],
    );
    let loose = FORCED.replace(
        "[tenant.acme]",
        "plugin-opt.redact.terms = ['zzz']\n[tenant.acme]",
    );
    write(folder.path(), "ocr-host.toml", &loose);
    let ran = run(folder.path(), &["run", "receipts", "--tenant", "acme"]);
    assert!(
        !written(folder.path()).to_lowercase().contains("lantern"),
        "{}",
        ran.err
    );
    let checked = run(folder.path(), &["config", "check"]);
    assert!(
        checked
            .err
            .contains("does not reach the `redact` that tenant `acme` forces"),
        "{}",
        checked.err
    );
    let own = loose.replace("to = ['md', 'json']", "to = ['md', 'json']\nplugin = ['redact']");
    write(folder.path(), "ocr-host.toml", &own);
    ok(&run(
        folder.path(),
        &[
            "run",
            "receipts",
            "--tenant",
            "acme",
            "--plugin-opt",
            "redact.case=exact",
        ],
    ));
    assert!(!written(folder.path()).to_lowercase().contains("lantern"));
    write(folder.path(), "ocr-host.toml", FORCED);
    for name in ["redact", "redact.wasm"] {
        std::fs::copy(hello(), folder.path().join(name)).unwrap();
    }
    ok(&run(folder.path(), &["run", "receipts", "--tenant", "acme"]));
    assert!(!written(folder.path()).to_lowercase().contains("lantern"));
}

#[test]
fn limits_and_capabilities_of_a_tenant_are_ceilings() {
    let folder = folder(&format!("{TENANTS}[tenant.acme.limits]\noutput-bytes = 20\n"));
    // A flag may ask for more and gets no more.
    let flags = [
        "run",
        "receipts",
        "--tenant",
        "acme",
        "--plugin-limit",
        "output-bytes=1GiB",
    ];
    let ran = run(folder.path(), &flags);
    assert_eq!(ran.code, 22, "{}", ran.err);
    assert!(ran.err.contains("output-bytes"), "{}", ran.err);
    let toml = format!("{TENANTS}[tenant.acme.limits]\nmemory = '4GiB'\n")
        .replace("'out/acme'\n", "'out/acme'\ncapabilities = []\n");
    write(folder.path(), "ocr-host.toml", &toml);
    let html = |tenant: &str| {
        ok(&run(
            folder.path(),
            &["run", "receipts", "--tenant", tenant, "--to", "html"],
        ));
        std::fs::read_to_string(folder.path().join(format!("out/{tenant}/receipts/receipt.html"))).unwrap()
    };
    // Without the picture of the page, which the other tenant's plugins may see.
    assert!(html("bolt").len() > html("acme").len() + 10_000);
}

#[cfg(unix)]
mod watching {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Stdio};
    use std::sync::{Arc, Mutex};

    /// A run that watches, and what it says.
    struct Watching {
        child: Child,
        said: Arc<Mutex<String>>,
    }

    impl Watching {
        fn start(folder: &Path, args: &[&str]) -> Self {
            let mut command = ocr_host(folder, args);
            let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
            let said: Arc<Mutex<String>> = Arc::default();
            let (heard, lines) = (said.clone(), BufReader::new(child.stderr.take().unwrap()).lines());
            std::thread::spawn(move || {
                for line in lines.map_while(Result::ok) {
                    *heard.lock().unwrap() += &format!("{line}\n");
                }
            });
            Self { child, said }
        }

        fn said(&self) -> String {
            self.said.lock().unwrap().clone()
        }

        fn says(&self, words: &str) {
            until(words, || self.said().contains(words));
        }

        fn end(mut self) -> i32 {
            let id = self.child.id().to_string();
            assert!(
                std::process::Command::new("kill")
                    .args(["-TERM", &id])
                    .status()
                    .unwrap()
                    .success()
            );
            self.child.wait().unwrap().code().expect("it ends in order")
        }
    }

    impl Drop for Watching {
        fn drop(&mut self) {
            let _ = self.child.kill();
        }
    }

    #[test]
    fn what_comes_is_converted_and_what_changes_is_taken_up() {
        let folder = folder("model = 'ppocr'\n[workflow.w]\noutput = 'out'\nto = ['md']\n");
        let (at, out) = (folder.path(), folder.path().join("out"));
        let watching = Watching::start(at, &["run", "w", "--watch", "in"]);
        watching.says("note: watching");
        until("the file that was there is read", || {
            out.join("receipt.md").exists()
        });
        std::fs::copy(example("receipt.png"), at.join("in/second.png")).unwrap();
        until("a file that comes is read", || out.join("second.md").exists());
        until("the report has it", || {
            std::fs::read_to_string(out.join("report.json")).is_ok_and(|r| r.contains("second.png"))
        });
        // A configuration that is broken is told of, and the one before goes on.
        write(
            at,
            "ocr-host.toml",
            "model = 'ppocr'\n[workflow.w]\noutput = 'out'\nto = ['docx']\n",
        );
        watching.says("the new configuration is not taken up");
        watching.says("the formats are");
        std::fs::copy(example("receipt.png"), at.join("in/third.png")).unwrap();
        until("work goes on", || out.join("third.md").exists());
        write(
            at,
            "ocr-host.toml",
            "model = 'ppocr'\n[workflow.w]\noutput = 'out'\nto = ['json']\n",
        );
        watching.says("the configuration was read again");
        std::fs::copy(example("receipt.png"), at.join("in/fourth.png")).unwrap();
        until("the new format is written", || out.join("fourth.json").exists());
        assert!(!out.join("fourth.md").exists());
        assert_eq!(watching.end(), 130);
    }

    #[test]
    fn an_engine_gives_its_place_up_and_comes_back_where_the_new_one_does_not_start() {
        let toml =
            |engine: &str| format!("model = 'ppocr'\n{engine}\n[workflow.w]\noutput = 'out'\nto = ['md']\n");
        let folder = folder(&toml("jobs = 1"));
        let (at, out) = (folder.path(), folder.path().join("out"));
        let watching = Watching::start(at, &["run", "w", "--watch", "in"]);
        until("the file that was there is read", || {
            out.join("report.json").exists()
        });
        // It wants a model that is not there; nothing is under way, so the engine of before has gone by then.
        write(at, "ocr-host.toml", &toml("rescue = 'on'"));
        watching.says("the new configuration is not taken up");
        watching.says("the small recogniser is not there");
        std::fs::copy(example("receipt.png"), at.join("in/second.png")).unwrap();
        until("work goes on", || out.join("second.md").exists());
        write(at, "ocr-host.toml", &toml("jobs = 2"));
        watching.says("the configuration was read again");
        std::fs::copy(example("receipt.png"), at.join("in/third.png")).unwrap();
        until("the new engine reads", || out.join("third.md").exists());
        assert_eq!(watching.end(), 130);
    }

    fn with_engine(engine: &str) -> String {
        format!("model = 'ppocr'\n{engine}\n[workflow.w]\noutput = 'out'\nto = ['md']\n")
    }

    /// A run that reads documents of some pages, and whose next engine does not start beside the one that reads them.
    fn draining() -> (tempfile::TempDir, Watching) {
        let folder = folder(&with_engine("jobs = 1"));
        let at = folder.path();
        std::fs::rename(at.join("in/receipt.png"), at.join("next.png")).unwrap();
        for n in 1..=4 {
            std::fs::copy(example("report.pdf"), at.join(format!("in/long-{n}.pdf"))).unwrap();
        }
        let watching = Watching::start(at, &["run", "w", "--watch", "--progress", "json", "in"]);
        watching.says("\"document-opened\"");
        // It wants a model that is not there.
        write(at, "ocr-host.toml", &with_engine("rescue = 'on'"));
        watching.says("this is tried again once nothing is under way");
        std::fs::rename(at.join("next.png"), at.join("in/next.png")).unwrap();
        (folder, watching)
    }

    /// What was wrong with each configuration that was read again; nothing with those that were taken up.
    fn reloads(watching: &Watching) -> Vec<Option<String>> {
        let said = watching.said();
        let events = said
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events
            .filter(|event| event["event"] == "reload")
            .map(|event| event["error"].as_str().map(str::to_owned))
            .collect()
    }

    #[test]
    fn an_engine_without_room_is_tried_again_alone_and_the_one_of_before_comes_back() {
        let (folder, watching) = draining();
        let out = folder.path().join("out");
        // Tried again once what was under way has ended, in vain; what waited is read by the engine of before.
        until("it is tried again", || reloads(&watching).len() == 2);
        assert!(!out.join("next.md").exists(), "nothing was begun meanwhile");
        let alone = reloads(&watching)[1].clone().unwrap();
        assert!(
            alone.contains("the small recogniser is not there") && !alone.contains("tried again"),
            "{alone}"
        );
        until("what waited is read", || out.join("next.md").exists());
        until("and reported", || {
            std::fs::read_to_string(out.join("report.json")).is_ok_and(|r| r.contains("next.png"))
        });
        assert_eq!(statuses(&report(&out)), ["success"; 5], "{}", watching.said());
        assert_eq!(reloads(&watching).len(), 2);
        assert_eq!(watching.end(), 130);
    }

    #[test]
    fn another_change_is_taken_up_while_an_engine_waits_for_room() {
        let (folder, watching) = draining();
        let (at, out) = (folder.path(), folder.path().join("out"));
        // Another one that has no room, one that is wrong, and one that starts.
        for (count, engine) in [
            (2, "rescue = 'on'\ndpi = 150"),
            (3, "rescue = 'perhaps'"),
            (4, "jobs = 2"),
        ] {
            write(at, "ocr-host.toml", &with_engine(engine));
            until(engine, || reloads(&watching).len() >= count);
        }
        until("the last is taken up", || {
            reloads(&watching).last() == Some(&None)
        });
        until("all is read", || {
            (1..=4).all(|n| out.join(format!("long-{n}.md")).exists()) && out.join("next.md").exists()
        });
        std::fs::copy(example("receipt.png"), at.join("in/last.png")).unwrap();
        until("and it goes on", || out.join("last.md").exists());
        assert_eq!(watching.end(), 130);
    }

    #[test]
    fn a_run_that_drains_can_be_interrupted() {
        let (folder, watching) = draining();
        assert_eq!(watching.end(), 130);
        let out = folder.path().join("out");
        let report = report(&out);
        assert!(statuses(&report).contains(&"failure"), "{report}");
        assert!(!out.join("next.md").exists());
    }

    #[test]
    fn a_plugin_is_replaced_while_a_document_is_under_way() {
        let folder = folder("model = 'ppocr'\n[workflow.w]\noutput = 'out'\nplugin = ['mine.wasm']\n");
        let (at, out) = (folder.path(), folder.path().join("out"));
        std::fs::copy(hello(), at.join("mine.wasm")).unwrap();
        std::fs::remove_file(at.join("in/receipt.png")).unwrap();
        // Three pages, so that it is under way for a while.
        std::fs::copy(example("report.pdf"), at.join("in/long.pdf")).unwrap();
        let watching = Watching::start(at, &["run", "w", "--watch", "--progress", "json", "in"]);
        watching.says("\"document-opened\"");
        std::fs::copy(at.join("mine.wasm"), at.join("new.wasm")).unwrap();
        std::fs::write(at.join("new.wasm"), renamed("hello-formatter", "0.1.1")).unwrap();
        std::fs::rename(at.join("new.wasm"), at.join("mine.wasm")).unwrap();
        watching.says("\"event\":\"reload\"");
        until("the document is whole", || out.join("long.txt").exists());
        until("and reported", || out.join("report.json").exists());
        assert_eq!(statuses(&report(&out)), ["success"], "{}", watching.said());
        std::fs::copy(example("receipt.png"), at.join("in/next.png")).unwrap();
        until("the next one is read", || out.join("next.txt").exists());
        assert_eq!(watching.end(), 130);
    }
}

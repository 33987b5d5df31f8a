//! Plugins that are installed, found by name, changed behind the host's back, and removed; and how options reach them.

mod plugin_support;

use plugin_support::{Answer, Server, example, hello, hello_with, refused, renamed, run};
use sha2::{Digest, Sha256};
use std::path::Path;

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn install(folder: &Path, source: &str) {
    let ran = run(folder, &["plugin", "install", source]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("installed "), "{}", ran.out);
}

/// The only installed component.
fn component_file(folder: &Path) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(folder.join("data/plugins")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    file
}

#[test]
fn an_installed_plugin_is_found_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    install(folder, hello().to_str().unwrap());
    let lock = std::fs::read_to_string(folder.join("data/plugins.lock")).unwrap();
    let digest = sha256(&std::fs::read(hello()).unwrap());
    assert!(
        lock.contains(&digest) && lock.contains("name = \"hello-formatter\""),
        "{lock}"
    );
    let ran = run(folder, &["plugin", "list"]);
    assert!(
        ran.out.contains("hello-formatter") && ran.out.contains(&digest[..16]),
        "{}",
        ran.out
    );
    for args in [
        ["--plugin", "hello-formatter"],
        ["--plugin", "hello-formatter.wasm"],
        ["--to", "hello-formatter"],
    ] {
        let ran = run(
            folder,
            &[
                args[0],
                args[1],
                "--plugin-opt",
                "hello-formatter.rule===",
                &example("receipt.png"),
            ],
        );
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        assert!(ran.out.starts_with("== page 1\n"), "{}", ran.out);
    }
    let ran = run(folder, &["plugin", "remove", "hello-formatter"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "removed hello-formatter 0.1.0\n")
    );
    refused(
        folder,
        &["--plugin", "hello-formatter", "x.png"],
        1,
        &["there is no such file or plugin"],
    );
    refused(
        folder,
        &["plugin", "remove", "hello-formatter"],
        1,
        &["is not installed"],
    );
    refused(folder, &["plugin", "remove", "html-out"], 1, &["built in"]);
}

#[test]
fn a_component_that_was_changed_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    install(folder, hello().to_str().unwrap());
    let file = component_file(folder);
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let words = [
        "installed plugin `hello-formatter`",
        "was changed since it was installed",
        "install it again from",
    ];
    refused(folder, &["--plugin", "hello-formatter", "x.png"], 3, &words);
    refused(folder, &["--to", "hello-formatter", "x.png"], 3, &words);
    refused(folder, &["plugin", "list"], 3, &words);
    std::fs::write(folder.join("data/plugins.lock"), "version = 1\nplugin = 7\n").unwrap();
    refused(
        folder,
        &["--plugin", "hello-formatter", "x.png"],
        9,
        &["plugins.lock", "line 2"],
    );
    // What needs none of them goes on.
    assert_eq!(run(folder, &["--to", "md", &example("receipt.png")]).code, 0);
}

#[test]
fn a_newer_version_takes_the_place_of_the_old() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    install(folder, hello().to_str().unwrap());
    std::fs::write(folder.join("new.wasm"), renamed("hello-formatter", "0.2.0")).unwrap();
    let ran = run(folder, &["plugin", "install", "new.wasm"]);
    assert!(
        ran.out
            .starts_with("installed hello-formatter 0.2.0 instead of 0.1.0\n"),
        "{}",
        ran.out
    );
    component_file(folder);
}

#[test]
fn nobody_takes_over_a_built_in_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // A plugin whose id is that of a built-in one, padded by nothing: `html-out` has another length, so its manifest is
    // written anew.
    let manifest =
        r#"{"id":"html-out","version":"9","world":"output-formatter","wit":"0.1.0","extensions":["html"]}"#;
    std::fs::write(folder.join("html-out.wasm"), hello_with(manifest)).unwrap();
    refused(
        folder,
        &["plugin", "install", "html-out.wasm"],
        1,
        &["the built-in plugin `html-out`"],
    );
    // By its bare name it is the built-in one, and that is said; as a path it is refused for its name.
    let ran = run(folder, &["--plugin", "html-out.wasm", &example("receipt.png")]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.err.contains("is the built-in plugin; write ./html-out.wasm"),
        "{}",
        ran.err
    );
    assert!(ran.out.to_lowercase().starts_with("<!doctype html>"));
    refused(
        folder,
        &["--plugin", "./html-out.wasm", "x.png"],
        1,
        &["calls itself `html-out`, which is a built-in plugin"],
    );
    // A configuration file in the same folder means the same.
    std::fs::write(folder.join("ocr-host.toml"), "plugin = [\"html-out.wasm\"]\n").unwrap();
    let ran = run(folder, &[&example("receipt.png")]);
    assert!(
        ran.code == 0 && ran.out.to_lowercase().starts_with("<!doctype html>"),
        "{}",
        ran.err
    );
}

#[test]
fn two_plugins_of_one_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("a.wasm"), renamed("hello-formatter", "0.1.0")).unwrap();
    std::fs::write(folder.join("b.wasm"), renamed("hello-formatter", "0.2.0")).unwrap();
    refused(
        folder,
        &["--plugin", "a.wasm", "--plugin", "b.wasm", "-o", "out", "x.png"],
        1,
        &["there are two plugins `hello-formatter` in this run"],
    );
    refused(
        folder,
        &["--to", "md", "--plugin", "markdown-out", "-o", "out", "x.png"],
        1,
        &["there are two plugins `markdown-out` in this run"],
    );
}

#[test]
fn options_are_held_against_the_schema_wherever_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let receipt = example("receipt.png");
    for (flag, words) in [
        (
            "markdwon-out.images=none",
            "there is no plugin `markdwon-out`; known are archive-in, dehyphenate, hocr-out, html-out, image-in,",
        ),
        ("markdwon-out.images=none", "did you mean `markdown-out`?"),
        (
            "html-out.boxes=false",
            "plugin `html-out` takes no part in this run; ask for it with --to html",
        ),
        ("markdown-out.imagse=none", "did you mean `images`?"),
        ("imagse=auto", "did you mean `images`?"),
        (
            "images=embeded",
            "plugin `markdown-out`: option `images`: it is `embeded`, it takes `auto`",
        ),
        ("images=embeded", "did you mean `embedded`?"),
        ("pdf-in.max-megapixels=0", "a number above 0 and at most 400"),
    ] {
        refused(
            folder,
            &["--plugin-opt", flag, &receipt],
            1,
            &["--plugin-opt: ", words],
        );
    }
    let kinds =
        "it takes `email`, `phone`, `iban`, `card`, `ssn`, `date`, `ip` or `url`, or several with commas";
    refused(
        folder,
        &[
            "--plugin",
            "redact",
            "--plugin-opt",
            "redact.kinds=email,phon",
            &receipt,
        ],
        1,
        &[&format!(
            "option `kinds`: it is `phon`, {kinds}; did you mean `phone`?"
        )],
    );
    for (toml, words) in [
        (
            "[plugin-opt.html-out]\n\nboxes = 'false'\n",
            "line 3: [plugin-opt.html-out]: plugin `html-out`: option `boxes`: it is the text `false`, it takes true or false",
        ),
        ("[plugin-opt.pdf-in]\nannotations = 1\n", "line 2"),
        (
            "[plugin-opt.pdf-inn]\nannotations = true\n",
            "line 2: [plugin-opt.pdf-inn]: there is no plugin `pdf-inn`",
        ),
        (
            "[plugin-opt.pdf-in]\nx = true\nmax-megapixels = 1e9\n",
            "no option `x`",
        ),
    ] {
        std::fs::write(folder.join("ocr-host.toml"), toml).unwrap();
        refused(folder, &["--to", "md", &receipt], 9, &["ocr-host.toml, ", words]);
    }
    // Options for a format that is not written, and for a plugin that the flags replace, are no mistake.
    std::fs::copy(hello(), folder.join("mine.wasm")).unwrap();
    let toml = "plugin = ['mine.wasm']\n[plugin-opt.html-out]\nboxes = false\n[plugin-opt.hello-formatter]\nrule = '-'\n";
    std::fs::write(folder.join("ocr-host.toml"), toml).unwrap();
    let ran = run(folder, &["--to", "md", &receipt]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    // Flags win over the file.
    let ran = run(folder, &["--plugin-opt", "rule=+", &receipt]);
    assert!(
        ran.code == 0 && ran.out.starts_with("+ page 1"),
        "{}{}",
        ran.out,
        ran.err
    );
}

#[test]
fn what_a_plugin_says_of_its_options_has_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let toml = "plugin = ['redact']\nto = ['md']\n\n[plugin-opt.redact]\nkinds = 'email'\npatterns = '('\n";
    std::fs::write(folder.join("ocr-host.toml"), toml).unwrap();
    let ran = run(folder, &[&example("receipt.png")]);
    assert_eq!(ran.code, 9, "{}", ran.err);
    assert!(
        ran.err.contains("ocr-host.toml, line 6: setting `patterns`"),
        "{}",
        ran.err
    );
}

#[test]
fn a_component_comes_over_http_from_this_machine_and_https_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let bytes = std::fs::read(hello()).unwrap();
    let digest = sha256(&bytes);
    let server = Server::start(move |request, host| match request.path.as_str() {
        "/hello.wasm" => Answer::new(200, bytes.clone()),
        "/moved" => Answer::new(302, "").with("location", format!("http://{host}/hello.wasm")),
        "/away" => Answer::new(302, "").with("location", "http://192.0.2.1/hello.wasm"),
        "/large" => Answer::new(200, "").with("content-length", "99999999999"),
        "/cut" => Answer::new(200, &bytes[..1000]).with("content-length", bytes.len().to_string()),
        "/busy" => Answer::new(503, "").with("retry-after", "0"),
        "/text" => Answer::new(200, "<html>"),
        _ => Answer::new(404, ""),
    });
    let at = |path: &str| format!("http://{}{path}", server.host);
    install(folder, &at("/moved"));
    let ran = run(
        folder,
        &["plugin", "install", &at("/hello.wasm"), "--sha256", &digest],
    );
    assert!(
        ran.code == 0 && ran.out.contains(&format!("sha256 {digest}")),
        "{}{}",
        ran.out,
        ran.err
    );
    let wrong = "0".repeat(64);
    refused(
        folder,
        &["plugin", "install", &at("/hello.wasm"), "--sha256", &wrong],
        2,
        &[&digest, &wrong],
    );
    refused(
        folder,
        &["plugin", "install", &at("/hello.wasm"), "--sha256", "12"],
        1,
        &["64 hexadecimal digits"],
    );
    for (path, code, words) in [
        ("/away", 2, "`http://192.0.2.1/hello.wasm` is not encrypted"),
        ("/large", 2, "the most that is taken"),
        ("/cut", 2, "cut after 1000 bytes"),
        ("/busy", 2, "try again later"),
        ("/gone", 2, "status 404"),
        ("/text", 1, "no WASM component"),
    ] {
        refused(folder, &["plugin", "install", &at(path)], code, &[words]);
    }
    assert_eq!(server.heard().iter().filter(|r| r.path == "/busy").count(), 3);
    refused(
        folder,
        &["plugin", "install", "http://192.0.2.1/x.wasm"],
        1,
        &["is not encrypted", "use https"],
    );
    let help = run(folder, &["plugin", "install", "--help"]).out;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        help.contains("http of this machine as well: localhost, 127.0.0.1, [::1]"),
        "{help}"
    );
    refused(
        folder,
        &["plugin", "install", "ftp://192.0.2.1/x.wasm"],
        1,
        &["neither an https address (or http of this machine) nor oci://"],
    );
}

/// A registry with one artifact at `acme/hello`, which wants a token, and for one user a login before that.
fn registry(component: Vec<u8>, private: bool) -> (Server, String) {
    let layer = sha256(&component);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.wasm.config.v0+json","digest":"sha256:{0}","size":2}},"layers":[{{"mediaType":"application/wasm","digest":"sha256:{0}","size":{1}}}]}}"#,
        layer,
        component.len()
    );
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{0}","size":2}}]}}"#,
        sha256(manifest.as_bytes())
    );
    let digest = sha256(manifest.as_bytes());
    let own = digest.clone();
    let server = Server::start(move |request, host| {
        let authorization = request.headers.get("authorization").map(String::as_str);
        if let Some(query) = request.path.strip_prefix("/token?") {
            let scoped =
                query.contains("scope=repository%3Aacme%2Fhello%3Apull") && query.contains("service=fake");
            let known = !private || authorization == Some("Basic YWxpY2U6c2VjcmV0");
            return match (scoped, known) {
                (true, true) => Answer::new(200, r#"{"token":"let-me-in"}"#),
                (false, _) => Answer::new(400, ""),
                (_, false) => Answer::new(401, ""),
            };
        }
        // Blobs lie elsewhere, as with many registries; no token may go there.
        if request.path == "/elsewhere" {
            return Answer::new(200, component.clone());
        }
        if authorization != Some("Bearer let-me-in") {
            let challenge = format!(
                "Bearer realm=\"http://{host}/token\",service=\"fake\",scope=\"repository:acme/hello:pull\""
            );
            return Answer::new(401, "{}").with("www-authenticate", challenge);
        }
        let path = request.path.strip_prefix("/v2/acme/hello/").unwrap_or_default();
        match path.split_once('/') {
            Some(("manifests", what)) if what == format!("sha256:{own}") || what == "latest" => {
                Answer::new(200, manifest.clone())
            }
            Some((
                "manifests",
                "sha256:1111111111111111111111111111111111111111111111111111111111111111",
            )) => Answer::new(200, manifest.clone()),
            Some(("manifests", what)) if what == format!("sha256:{}", sha256(index.as_bytes())) => {
                Answer::new(200, index.clone())
            }
            Some(("blobs", what)) if what == format!("sha256:{layer}") => {
                let port = host.split(':').nth(1).unwrap_or_default();
                Answer::new(307, "").with("location", format!("http://localhost:{port}/elsewhere"))
            }
            _ => Answer::new(404, ""),
        }
    });
    (server, digest)
}

#[test]
fn a_component_comes_from_a_registry_by_digest() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (server, digest) = registry(std::fs::read(hello()).unwrap(), false);
    let reference = format!("oci://{}/acme/hello@sha256:{digest}", server.host);
    install(folder, &reference);
    let lock = std::fs::read_to_string(folder.join("data/plugins.lock")).unwrap();
    assert!(lock.contains(&reference), "{lock}");
    let elsewhere = server
        .heard()
        .into_iter()
        .find(|r| r.path == "/elsewhere")
        .unwrap();
    assert!(
        !elsewhere.headers.contains_key("authorization"),
        "the token stays with the registry"
    );
    let tag = format!("oci://{}/acme/hello:latest", server.host);
    refused(
        folder,
        &["plugin", "install", &tag],
        2,
        &["a digest has to be given", &format!("@sha256:{digest} now")],
    );
    let other = format!("oci://{}/acme/hello@sha256:{}", server.host, "1".repeat(64));
    refused(
        folder,
        &["plugin", "install", &other],
        2,
        &["the registry sent something else"],
    );
    let gone = format!("oci://{}/acme/hello@sha256:{}", server.host, "2".repeat(64));
    refused(
        folder,
        &["plugin", "install", &gone],
        2,
        &["the registry has no such thing (status 404)"],
    );
    let other = format!("oci://{}/acme/gone@sha256:{digest}", server.host);
    refused(
        folder,
        &["plugin", "install", &other],
        2,
        &["the server for tokens answers with status 400"],
    );
    refused(
        folder,
        &["plugin", "install", "oci://nowhere"],
        1,
        &["oci://HOST/NAME@sha256:DIGEST"],
    );
}

#[test]
fn a_registry_that_sends_another_component_is_caught() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let good = std::fs::read(hello()).unwrap();
    let (real, digest) = registry(good.clone(), false);
    drop(real);
    // The same manifest, and other bytes of the same length behind it.
    let mut evil = good.clone();
    let last = evil.len() - 1;
    evil[last] ^= 1;
    let layer = sha256(&good);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.wasm.config.v0+json","digest":"sha256:{0}","size":2}},"layers":[{{"mediaType":"application/wasm","digest":"sha256:{0}","size":{1}}}]}}"#,
        layer,
        good.len()
    );
    let server = Server::start(move |request, _| match request.path.contains("/manifests/") {
        true => Answer::new(200, manifest.clone()),
        false => Answer::new(200, evil.clone()),
    });
    let reference = format!("oci://{}/acme/hello@sha256:{digest}", server.host);
    refused(
        folder,
        &["plugin", "install", &reference],
        2,
        &["the component that came has the sha256"],
    );
    assert!(!folder.join("data/plugins.lock").exists());
}

#[test]
fn a_private_registry_is_shown_the_login_of_the_docker_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (server, digest) = registry(std::fs::read(hello()).unwrap(), true);
    let reference = format!("oci://{}/acme/hello@sha256:{digest}", server.host);
    refused(
        folder,
        &["plugin", "install", &reference],
        2,
        &["wants a login", "docker login"],
    );
    std::fs::create_dir(folder.join("docker")).unwrap();
    let config = |auth: &str| format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, server.host);
    std::fs::write(folder.join("docker/config.json"), config("d3Jvbmc6bG9naW4=")).unwrap();
    refused(
        folder,
        &["plugin", "install", &reference],
        2,
        &["does not accept the login"],
    );
    std::fs::write(folder.join("docker/config.json"), config("YWxpY2U6c2VjcmV0")).unwrap();
    install(folder, &reference);
    // The password went to the server for tokens and nowhere else.
    for request in server.heard().iter().filter(|r| !r.path.starts_with("/token")) {
        assert_ne!(
            request.headers.get("authorization").map(String::as_str),
            Some("Basic YWxpY2U6c2VjcmV0")
        );
    }
}

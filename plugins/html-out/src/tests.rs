use super::*;
use ocr_plugin::testing::{self, Grants, PageBuilder, Run};
use ocr_plugin::{BlockKind, CellKind, Outcome, PageData, Rect};

const HOSTILE: &str =
    "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>\" onload='x' {{7*7}}";

fn doc() -> DocInfo {
    DocInfo {
        pages: Some(2),
        ..DocInfo::new("report.pdf", "application/pdf")
    }
}

fn full_page() -> PageData {
    PageBuilder::new(3)
        .info(|i| (i.language, i.engine) = (Some("en".to_owned()), "ppocr/tiny".to_owned()))
        .span(BlockKind::Header, "ACME annual report")
        .span(BlockKind::Title, "The title")
        .line(
            Rect {
                x0: 50,
                y0: 50,
                x1: 545,
                y1: 70,
            },
            Some(0.98),
            "The title",
        )
        .span(BlockKind::Heading, "Methods")
        .with(|s| s.level = 1)
        .span(BlockKind::Paragraph, "First line\nsecond & last")
        .line(
            Rect {
                x0: 50,
                y0: 110,
                x1: 545,
                y1: 130,
            },
            Some(0.61),
            "First line",
        )
        .span(BlockKind::ListItem, "• one")
        .with(|s| s.level = 1)
        .span(BlockKind::ListItem, "a) inner")
        .with(|s| s.level = 2)
        .span(BlockKind::ListItem, "• two")
        .with(|s| s.level = 1)
        .span(BlockKind::Table, "")
        .cell(CellKind::ColumnHeader, (0, 0, 1, 2), "wide")
        .cell(CellKind::Data, (1, 1, 1, 1), "y")
        .span(BlockKind::Caption, "Table 1")
        .with(|s| s.parent = Some(7))
        .span(BlockKind::Figure, "")
        .span(BlockKind::Formula, "x squared")
        .markup("x^2")
        .span(BlockKind::Footnote, "1 a note")
        .build()
}

fn hostile_page() -> PageData {
    let mut page = PageBuilder::new(4)
        .info(|i| {
            (i.language, i.engine) = (Some(HOSTILE.to_owned()), HOSTILE.to_owned());
            i.outcome = Outcome::Failed;
            i.diagnostics.push(Diagnostic::new(Severity::Error, "x", HOSTILE));
        })
        .span(BlockKind::Table, HOSTILE)
        .markup(HOSTILE)
        .span(BlockKind::Table, "")
        .cell(CellKind::Data, (u32::MAX, 0, 1, 1), HOSTILE)
        .cell(CellKind::Data, (0, 0, u32::MAX, 3), HOSTILE);
    use BlockKind::*;
    for kind in [
        Title, Heading, Paragraph, ListItem, Formula, Figure, Caption, Header, Footnote, Code, Other,
    ] {
        page = page.span(kind, HOSTILE).line(
            Rect {
                x0: 1,
                y0: 1,
                x1: 90,
                y1: 9,
            },
            Some(f32::NAN),
            HOSTILE,
        );
    }
    page.span(Figure, "")
        .span(Caption, HOSTILE)
        .with(|s| s.parent = Some(13))
        .build()
}

fn run(config: &str, grants: Grants, pages: Vec<PageData>) -> Run {
    let run = testing::format_with::<Html>(grants, &doc(), config, pages);
    assert_eq!(run.result, Ok(()));
    run
}

#[test]
fn model_output_stays_text() {
    let run = run(
        &format!("{{\"title\": {}}}", serde_json_string(HOSTILE)),
        Grants::default(),
        vec![hostile_page()],
    );
    let html = run.main();
    for tag in html.split('<').skip(1) {
        let name: String = tag.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
        assert!(name != "script", "{tag}");
        // Values stand between double quotes, so what is left are the names.
        let names: String = tag
            .split('>')
            .next()
            .unwrap_or_default()
            .split('"')
            .step_by(2)
            .collect();
        assert!(!names.contains("onerror") && !names.contains("onload"), "{tag}");
    }
    assert_eq!(
        html.matches("</title>").count(),
        html.matches("<title>").count(),
        "nothing closes a title early"
    );
    assert_eq!(html.matches("</style>").count(), 1);
}

fn serde_json_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[test]
fn text_that_may_be_wrong_is_told_to_be() {
    let page = PageBuilder::new(2).info(|i| {
        i.outcome = Outcome::Truncated;
        i.diagnostics.push(Diagnostic::new(
            Severity::Error,
            "letters-lost",
            "a font is missing",
        ));
    });
    let html = run("{}", Grants::default(), vec![page.build()]).main();
    let note = "<strong>Page 2: fonts of it are lost, so its text may be wrong or incomplete</strong><br>a font is missing</p>";
    assert!(html.contains(note), "{html}");
}

#[test]
fn blocks_become_elements() {
    let html = run("{}", Grants::default(), vec![full_page()]).main();
    for expected in [
        "<h1 id=\"b-3-1\">The title</h1>",
        "<h2 id=\"b-3-2\">Methods</h2>",
        "<p id=\"b-3-3\">First line\nsecond &amp; last</p>",
        "<ul>\n<li id=\"b-3-4\">one<ol>\n<li id=\"b-3-5\"><span class=\"marker\">a)</span> inner</li>\n</ol>\n</li>\n<li id=\"b-3-6\">two</li>\n</ul>",
        "<caption><span id=\"b-3-8\">Table 1</span></caption><thead><tr><th scope=\"col\" colspan=\"2\">wide</th></tr>\n</thead><tbody><tr><td></td><td>y</td></tr>",
        "<figure id=\"b-3-9\" class=\"picture\"><img alt=\"\" width=\"495\" height=\"20\" loading=\"lazy\" src=\"data:image/jpeg;base64,jpg-495x20\">",
        "<pre id=\"b-3-10\" class=\"formula\">x^2</pre>",
        "<section class=\"page\" id=\"page-3\">",
        "<article lang=\"en\">",
    ] {
        assert!(html.contains(expected), "{expected}\nis missing in\n{html}");
    }
}

#[test]
fn boxes_link_to_their_text_and_words_stand_in_place() {
    let html = run("{}", Grants::default(), vec![full_page()]).main();
    assert!(html.contains("<a href=\"#b-3-1\"><rect class=\"title\" x=\"50\" y=\"50\" width=\"495\" height=\"20\"><title>title · 90 %</title>"));
    assert!(html.contains("<title>98 %</title>title </text>"), "{html}");
    assert!(html.contains("<text class=\"doubtful\""));
    let plain = run(r#"{"boxes": false}"#, Grants::default(), vec![full_page()]).main();
    assert!(!plain.contains("<rect"));
}

#[test]
fn pictures_go_where_they_are_wanted() {
    let files = run(
        r#"{"page-images": "referenced"}"#,
        Grants::default(),
        vec![full_page()],
    );
    assert!(files.main().contains("src=\"main.files/page-3.jpg\""));
    assert_eq!(
        files.file("main.files/page-3-figure-10.jpg").as_deref(),
        Some("<jpg 495x20>")
    );
    let none = run(
        r#"{"page-images": "none", "images": "placeholder"}"#,
        Grants::default(),
        vec![full_page()],
    )
    .main();
    assert!(!none.contains("<img") && !none.contains("class=\"scan\""));
    let no_raster = Grants {
        raster: false,
        ..Grants::default()
    };
    let told = run("{}", no_raster, vec![full_page(), full_page()]);
    assert_eq!(told.diagnostics.len(), 1, "said once");
    assert!(told.main().contains("class=\"missing\"") && told.main().contains("<svg"));
}

#[test]
fn long_documents_refer_to_files_where_there_is_a_folder() {
    let long = DocInfo {
        pages: Some(51),
        ..doc()
    };
    let beside = testing::format::<Html>(&long, "{}", vec![full_page()]);
    assert!(beside.main().contains("src=\"main.files/page-3.jpg\""));
    let no_files = Grants {
        files: false,
        ..Grants::default()
    };
    let inside = testing::format_with::<Html>(no_files, &long, "{}", vec![full_page()]);
    assert!(
        inside
            .main()
            .contains("src=\"data:image/jpeg;base64,jpg-595x842\"")
    );
    assert_eq!(inside.diagnostics, []);
}

#[test]
fn page_anchors_are_unique() {
    let html = run("{}", Grants::default(), vec![full_page(), full_page()]).main();
    assert!(html.contains("id=\"page-3\"") && html.contains("id=\"page-4\""));
}

/// `UPDATE_GOLDENS=1 cargo test -p html-out` writes the file anew; look at it in a browser.
#[test]
fn golden() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/goldens/full-page.html");
    let run = run("{}", Grants::default(), vec![full_page(), hostile_page()]);
    let body = run
        .main()
        .split_once("<body>")
        .map(|(_, body)| body.to_owned())
        .unwrap_or_default();
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(path, &body).unwrap();
    }
    assert_eq!(body, std::fs::read_to_string(path).unwrap());
}

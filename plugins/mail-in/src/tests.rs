use super::*;
use ocr_plugin::testing;

const PLAIN: &str = "From: =?utf-8?q?J=C3=BCrg?= <j@example.org>\r\nTo: a@b.ch, \"C, D\" <c@d.ch>\r\n\
    Subject: =?iso-8859-1?Q?Gr=FC=DFe?=\r\nDate: Thu, 7 Mar 2024 10:00:00 +0100\r\n\r\nHello,\r\n\r\nthe end\r\n";

fn mixed() -> String {
    let inner = "From: x@y.z\nSubject: inner\n\ninner text\n";
    format!(
        "From: j@example.org\nSubject: secret subject\nMIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=\"B\"\n\n\
         --B\nContent-Type: multipart/alternative; boundary=\"C\"\n\n\
         --C\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nGr=C3=BCezi =\njoined\n\
         --C\nContent-Type: text/html\n\n<p>Gr&uuml;ezi</p>\n--C--\n\
         --B\nContent-Type: application/pdf; name=\"x.pdf\"\nContent-Transfer-Encoding: base64\n\
         Content-Disposition: attachment; filename*=UTF-8''..%2F..%2Fr%C3%A9sum%C3%A9.pdf\n\nJVBERi0xLjc=\n\
         --B\nContent-Type: image/png\nContent-Disposition: inline\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=\n\
         --B\nContent-Type: message/rfc822\n\n{inner}\n\
         --B\nContent-Type: application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: base64\n\neJ8+IgAA\n\
         --B\nContent-Type: application/pkcs7-signature; name=smime.p7s\n\nxx\n--B--\n"
    )
}

fn open(text: &str, config: &str) -> Result<Mail> {
    testing::open::<Mail>("m.eml", text.as_bytes().to_vec(), config, None)
}

fn layer(mail: &mut Mail, index: u32) -> String {
    let page = testing::page_of(mail.read(index, 150.0).unwrap()).unwrap();
    let words = page.text_layer.unwrap().words;
    words
        .iter()
        .map(|w| w.text.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

fn attachments(mail: &mut Mail) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut index = mail.pages.len() as u32;
    while let Some(item) = mail.read(index, 150.0).unwrap() {
        let Item::Embedded(inner) = item else {
            panic!("{item:?}")
        };
        found.push((inner.name(), inner.read_all().unwrap()));
        index += 1;
    }
    found
}

#[test]
fn a_mail_s_text_is_a_page_with_its_words() {
    let mut mail = open(PLAIN, "{}").unwrap();
    let info = mail.info();
    assert_eq!((info.pages, info.title.as_deref()), (Some(1), Some("Grüße")));
    assert_eq!(
        layer(&mut mail, 0),
        "From: Jürg <j@example.org> To: a@b.ch, C, D <c@d.ch> Date: Thu, 7 Mar 2024 10:00:00 +0100 Subject: Grüße \
         Hello, the end"
    );
    let page = testing::page_of(mail.read(0, 150.0).unwrap()).unwrap();
    let (width, height, rgb) = testing::rgb(&page.image);
    assert_eq!((width, height), (992, 1403));
    let ink = rgb.iter().filter(|v| **v < 128).count();
    assert!((1_000..60_000).contains(&ink), "{ink} dark values");
    assert!(mail.read(1, 150.0).unwrap().is_none());
    assert_eq!(testing::diagnostics(), []);
}

#[test]
fn attachments_follow_in_their_order() {
    let mut mail = open(&mixed(), "{}").unwrap();
    assert_eq!(mail.info().pages, None);
    assert!(layer(&mut mail, 0).ends_with("Subject: secret subject Grüezi joined"));
    let found = attachments(&mut mail);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["résumé.pdf", "attachment-2.png", "attachment-3.eml"]);
    assert_eq!(found[0].1, b"%PDF-1.7");
    let nested = String::from_utf8_lossy(&found[2].1).into_owned();
    assert!(
        nested.starts_with("From: x@y.z") && nested.contains("inner text"),
        "{nested}"
    );
    let said = testing::diagnostics();
    assert_eq!(said.len(), 1);
    assert_eq!(
        said[0].message,
        "1 part of the mail is neither picture nor document that can be read (6 bytes), and not read"
    );
}

#[test]
fn settings_choose_what_is_read() {
    let mut mail = open(&mixed(), r#"{"text": false, "pictures": "attached"}"#).unwrap();
    let names: Vec<String> = attachments(&mut mail).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["résumé.pdf", "attachment-2.eml"]);
    let said = testing::diagnostics();
    assert_eq!(said[0].code, "text-not-read");
    assert!(
        said.iter()
            .all(|d| !d.message.contains("secret") && !d.message.contains("example.org")),
        "{said:?}"
    );
}

#[test]
fn mails_are_known_by_their_headers() {
    let sniff = |name: &str, text: &str| Mail::sniff(name, text.as_bytes());
    assert_eq!(sniff("m.eml", PLAIN), 85);
    assert_eq!(sniff("m", PLAIN), 85);
    assert_eq!(sniff("m", "Subject: alone\n\nx"), 20);
    assert_eq!(sniff("m.eml", "no mail"), 2);
    assert_eq!(sniff("m", "From here on\nto: there"), 0);
    assert_eq!(sniff("m", ""), 0);
    assert!(
        open("hello", "{}")
            .err()
            .unwrap()
            .message()
            .contains("is no mail")
    );
}

#[test]
fn odd_mails_are_no_trouble() {
    let nested = (0..200).fold("From: a\nSubject: b\n\nend".to_owned(), |inner, n| {
        format!("From: a\nContent-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\nContent-Type: message/rfc822\n\n{inner}\n--b{n}--\n")
    });
    for text in [
        nested,
        format!("From: a\nSubject: {}\n\nx", "=?utf-8?q?=C3?=".repeat(2000)),
        "From: a\nContent-Type: multipart/mixed; boundary=\"\"\n\n--\n--\n".to_owned(),
        format!(
            "From: a\nContent-Type: text/html\n\n{}",
            "<table><tr><td>".repeat(5000)
        ),
        format!("From: a\nSubject: s\n\n{}", "\u{1f600}\u{301}".repeat(10_000)),
    ] {
        if let Ok(mut mail) = open(&text, "{}") {
            attachments(&mut mail);
        }
    }
    let mut long = open(
        &format!("From: a\nSubject: s\n\n{}", "word ".repeat(300_000)),
        "{}",
    )
    .unwrap();
    assert!(testing::diagnostics().iter().any(|d| d.code == "text-cut"));
    assert!(!layer(&mut long, 0).is_empty());
}

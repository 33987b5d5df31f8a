//! What an entry is, as far as its name and first bytes tell.

/// What is made of an entry.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// Handed to the host, which finds an adapter for it.
    Readable,
    /// Something else.
    Other,
    /// Its bytes have to be looked at.
    Unknown,
}

/// Endings of what some adapter may read. Others, of a user's own adapters, are told by nobody; a file with an ending
/// that is not known is looked into.
const READABLE: [&str; 17] = [
    "pdf", "png", "jpg", "jpeg", "jpe", "jfif", "webp", "tif", "tiff", "bmp", "gif", "heic", "avif", "jp2",
    "zip", "cbz", "eml",
];

/// Endings of what comes along in archives and is no page.
const OTHER: [&str; 31] = [
    "txt", "md", "xml", "json", "html", "htm", "css", "js", "csv", "log", "nfo", "ini", "db", "exe", "dll",
    "sh", "bat", "py", "mp3", "mp4", "wav", "avi", "mov", "ttf", "otf", "url", "lnk", "sfv", "md5", "sha256",
    "sig",
];

/// By its name.
pub fn of_name(name: &str) -> Kind {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let Some((_, extension)) = last.rsplit_once('.') else {
        return Kind::Unknown;
    };
    let extension = extension.to_ascii_lowercase();
    if READABLE.contains(&extension.as_str()) {
        Kind::Readable
    } else if OTHER.contains(&extension.as_str()) {
        Kind::Other
    } else {
        Kind::Unknown
    }
}

/// By its first bytes: pictures, PDFs, archives and mails.
pub fn is_readable_head(head: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 12] = [
        b"%PDF-",
        b"\x89PNG",
        b"\xff\xd8\xff",
        b"II*\0",
        b"MM\0*",
        b"BM",
        b"GIF8",
        b"PK\x03\x04",
        b"Return-Path:",
        b"Received:",
        b"MIME-Version:",
        b"From: ",
    ];
    BEGINNINGS.iter().any(|b| head.starts_with(b))
        || (head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP"))
}

/// What systems leave in archives: nobody misses it.
pub fn is_litter(name: &str) -> bool {
    let parts: Vec<&str> = name.split(['/', '\\']).collect();
    let last = parts.last().copied().unwrap_or_default();
    parts.contains(&"__MACOSX")
        || last.starts_with('.')
        || ["Thumbs.db", "desktop.ini", "ComicInfo.xml"]
            .iter()
            .any(|l| last.eq_ignore_ascii_case(l))
}

/// Whether a ZIP is the package of another format: by its name, or by its first entry.
pub fn is_package(name: &str, head: &[u8]) -> bool {
    const EXTENSIONS: [&str; 12] = [
        ".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".epub", ".jar", ".apk", ".whl", ".xpi", ".3mf",
    ];
    let first = head
        .get(30..)
        .zip(head.get(26..28))
        .and_then(|(names, len)| names.get(..usize::from(u16::from_le_bytes([len[0], len[1]]))))
        .unwrap_or_default();
    EXTENSIONS.iter().any(|e| name.ends_with(e)) || first == b"mimetype" || first == b"[Content_Types].xml"
}

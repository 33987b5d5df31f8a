//! What parent and child say to each other: a byte that names a message, then its fields, little-endian.
//!
//! Neither side believes the other. Every length is compared with a bound before anything is allocated, and what does not
//! fit is an error of kind `InvalidData`, after which the child is ended.

use ocr_document::{LayerWord, Point, Quad};
use std::io::{self, Read, Write};

/// Longest side of a page's raster, px.
pub const MAX_SIDE: u32 = 65_535;
/// Most pixels of a page's raster; callers stay far below.
const MAX_PIXELS: u64 = 400_000_000;
/// Most words of a page's text layer; a dense broadsheet page has 10,000.
pub const MAX_WORDS: usize = 200_000;
/// Longest word, bytes.
const WORD_BYTES: usize = 1024;
/// Longest password and message, bytes.
const TEXT_BYTES: usize = 4096;
/// Bytes handed over at a time.
const PIECE_BYTES: usize = 1 << 20;

/// What the parent asks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    /// The document; its bytes follow.
    Open { password: Option<String>, bytes: u64 },
    /// A page's size.
    Size { page: u32 },
    /// A page as so many pixels.
    Render { page: u32, width: u32, height: u32 },
    /// A page's text.
    Text { page: u32 },
}

/// What the child answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// It is ready; whether system calls are filtered.
    Ready { is_filtered: bool },
    /// The document is open.
    Opened { pages: u32 },
    /// Points.
    Size { width: f32, height: f32 },
    /// Rows of RGB without padding.
    Image {
        width: u32,
        height: u32,
        pixels: Vec<u8>,
    },
    /// In pixels of a raster of 72 dpi.
    Text { words: Vec<LayerWord> },
    /// It could not be done.
    Failed { why: Failure, message: String },
}

/// Why the child could not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Encrypted,
    WrongPassword,
    Other,
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

struct Fields<'a, R: Read>(&'a mut R);

impl<R: Read> Fields<'_, R> {
    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u8(&mut self) -> io::Result<u8> {
        Ok(self.bytes::<1>()?[0])
    }

    fn u32(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn f32(&mut self) -> io::Result<f32> {
        Ok(f32::from_le_bytes(self.bytes()?))
    }

    fn text(&mut self, most: usize) -> io::Result<String> {
        let len = self.u32()? as usize;
        if len > most {
            return Err(wrong("a text that is too long"));
        }
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| wrong("a text that is no UTF-8"))
    }

    fn side(&mut self) -> io::Result<u32> {
        match self.u32()? {
            side @ 1..=MAX_SIDE => Ok(side),
            _ => Err(wrong("an image side out of range")),
        }
    }
}

fn put_text(to: &mut impl Write, text: &str, most: usize) -> io::Result<()> {
    let text = &text[..text.floor_char_boundary(most)];
    to.write_all(&(text.len() as u32).to_le_bytes())?;
    to.write_all(text.as_bytes())
}

fn sides(fields: &mut Fields<'_, impl Read>) -> io::Result<(u32, u32)> {
    let (width, height) = (fields.side()?, fields.side()?);
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(wrong("an image with too many pixels"));
    }
    Ok((width, height))
}

impl Request {
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Request::Open { password, bytes } => {
                to.write_all(&[1, u8::from(password.is_some())])?;
                put_text(to, password.as_deref().unwrap_or_default(), TEXT_BYTES)?;
                to.write_all(&bytes.to_le_bytes())
            }
            Request::Size { page } => {
                to.write_all(&[2])?;
                to.write_all(&page.to_le_bytes())
            }
            Request::Render { page, width, height } => {
                to.write_all(&[3])?;
                [page, width, height]
                    .iter()
                    .try_for_each(|v| to.write_all(&v.to_le_bytes()))
            }
            Request::Text { page } => {
                to.write_all(&[4])?;
                to.write_all(&page.to_le_bytes())
            }
        }
    }

    /// The next request; none once the parent has gone.
    pub fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut kind = [0];
        if from.read(&mut kind)? == 0 {
            return Ok(None);
        }
        let mut fields = Fields(from);
        Ok(Some(match kind[0] {
            1 => {
                let has_password = fields.u8()? != 0;
                let password = fields.text(TEXT_BYTES)?;
                Request::Open {
                    password: has_password.then_some(password),
                    bytes: fields.u64()?,
                }
            }
            2 => Request::Size { page: fields.u32()? },
            3 => {
                let page = fields.u32()?;
                let (width, height) = sides(&mut fields)?;
                Request::Render { page, width, height }
            }
            4 => Request::Text { page: fields.u32()? },
            _ => return Err(wrong("an unknown request")),
        }))
    }
}

impl Answer {
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Answer::Ready { is_filtered } => to.write_all(&[1, u8::from(*is_filtered)]),
            Answer::Opened { pages } => {
                to.write_all(&[2])?;
                to.write_all(&pages.to_le_bytes())
            }
            Answer::Size { width, height } => {
                to.write_all(&[3])?;
                to.write_all(&width.to_le_bytes())?;
                to.write_all(&height.to_le_bytes())
            }
            Answer::Image {
                width,
                height,
                pixels,
            } => {
                to.write_all(&[4])?;
                to.write_all(&width.to_le_bytes())?;
                to.write_all(&height.to_le_bytes())?;
                to.write_all(pixels)
            }
            Answer::Text { words } => {
                to.write_all(&[5])?;
                let words = &words[..words.len().min(MAX_WORDS)];
                to.write_all(&(words.len() as u32).to_le_bytes())?;
                words.iter().try_for_each(|word| {
                    for p in word.outline.corners() {
                        to.write_all(&p.x.to_le_bytes())?;
                        to.write_all(&p.y.to_le_bytes())?;
                    }
                    put_text(to, &word.text, WORD_BYTES)
                })
            }
            Answer::Failed { why, message } => {
                let why = match why {
                    Failure::Encrypted => 1,
                    Failure::WrongPassword => 2,
                    Failure::Other => 3,
                };
                to.write_all(&[6, why])?;
                put_text(to, message, TEXT_BYTES)
            }
        }
    }

    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut fields = Fields(from);
        Ok(match fields.u8()? {
            1 => Answer::Ready {
                is_filtered: fields.u8()? != 0,
            },
            2 => Answer::Opened { pages: fields.u32()? },
            3 => Answer::Size {
                width: fields.f32()?,
                height: fields.f32()?,
            },
            4 => {
                let (width, height) = sides(&mut fields)?;
                // At most 400 million pixels, and no more is kept than has come.
                let pixels = take(fields.0, u64::from(width) * u64::from(height) * 3)?;
                Answer::Image {
                    width,
                    height,
                    pixels,
                }
            }
            5 => Answer::Text {
                words: words(&mut fields)?,
            },
            6 => {
                let why = match fields.u8()? {
                    1 => Failure::Encrypted,
                    2 => Failure::WrongPassword,
                    _ => Failure::Other,
                };
                let message = fields.text(TEXT_BYTES)?;
                Answer::Failed { why, message }
            }
            _ => return Err(wrong("an unknown answer")),
        })
    }
}

fn words(fields: &mut Fields<'_, impl Read>) -> io::Result<Vec<LayerWord>> {
    let count = fields.u32()? as usize;
    if count > MAX_WORDS {
        return Err(wrong("more words than a page has"));
    }
    let mut words = Vec::new();
    for _ in 0..count {
        let mut corners = [Point::default(); 4];
        for corner in &mut corners {
            (corner.x, corner.y) = (fields.f32()?, fields.f32()?);
        }
        let [a, b, c, d] = corners;
        let text = fields.text(WORD_BYTES)?;
        let outline = Quad { a, b, c, d };
        words.push(LayerWord { text, outline });
    }
    Ok(words)
}

/// So many bytes; memory grows with what arrives and not with what is promised.
pub(crate) fn take(from: &mut impl Read, bytes: u64) -> io::Result<Vec<u8>> {
    let mut taken = Vec::new();
    let too_large = |_| io::Error::new(io::ErrorKind::OutOfMemory, "no memory for it");
    let all = usize::try_from(bytes).map_err(|_| wrong("more bytes than fit into memory"))?;
    taken.try_reserve_exact(all).map_err(too_large)?;
    if from.take(bytes).read_to_end(&mut taken)? < all {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(taken)
}

/// Passes `bytes` on from where `read_at` finds them.
pub(crate) fn pass_on(
    bytes: u64,
    to: &mut impl Write,
    mut read_at: impl FnMut(u64, usize) -> io::Result<Vec<u8>>,
) -> io::Result<()> {
    let mut at = 0;
    while at < bytes {
        let piece = read_at(
            at,
            PIECE_BYTES.min(usize::try_from(bytes - at).unwrap_or(PIECE_BYTES)),
        )?;
        if piece.is_empty() {
            return Err(io::Error::other("the file became shorter while it was read"));
        }
        to.write_all(&piece)?;
        at += piece.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> LayerWord {
        LayerWord {
            text: text.into(),
            outline: Quad::default(),
        }
    }

    #[test]
    fn messages_arrive_as_they_were_sent() {
        let requests = [
            Request::Open {
                password: Some("geheim".into()),
                bytes: 7,
            },
            Request::Open {
                password: None,
                bytes: u64::MAX,
            },
            Request::Size { page: 3 },
            Request::Render {
                page: 1,
                width: 2,
                height: 65_535,
            },
            Request::Text { page: u32::MAX },
        ];
        let mut wire = Vec::new();
        requests.iter().for_each(|r| r.write(&mut wire).unwrap());
        let mut wire = &wire[..];
        for sent in &requests {
            assert_eq!(Request::read(&mut wire).unwrap().as_ref(), Some(sent));
        }
        assert_eq!(Request::read(&mut wire).unwrap(), None);

        let answers = [
            Answer::Ready { is_filtered: true },
            Answer::Opened { pages: 9 },
            Answer::Size {
                width: 612.0,
                height: 792.5,
            },
            Answer::Image {
                width: 2,
                height: 1,
                pixels: vec![1, 2, 3, 4, 5, 6],
            },
            Answer::Text {
                words: vec![word("Grüße"), word("")],
            },
            Answer::Failed {
                why: Failure::WrongPassword,
                message: "no".into(),
            },
        ];
        let mut wire = Vec::new();
        answers.iter().for_each(|a| a.write(&mut wire).unwrap());
        let mut wire = &wire[..];
        for sent in &answers {
            assert_eq!(&Answer::read(&mut wire).unwrap(), sent);
        }
    }

    #[test]
    fn what_promises_too_much_is_refused_before_it_is_read() {
        let refused = |bytes: &[u8]| Answer::read(&mut &bytes[..]).unwrap_err().kind();
        let numbers = |tag: u8, numbers: &[u32]| {
            let mut bytes = vec![tag];
            numbers.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
            bytes
        };
        assert_eq!(refused(&[99]), io::ErrorKind::InvalidData);
        assert_eq!(refused(&numbers(4, &[0, 5])), io::ErrorKind::InvalidData);
        assert_eq!(
            refused(&numbers(4, &[65_535, 65_535])),
            io::ErrorKind::InvalidData
        );
        assert_eq!(refused(&numbers(4, &[100, 100])), io::ErrorKind::UnexpectedEof);
        assert_eq!(refused(&numbers(5, &[u32::MAX])), io::ErrorKind::InvalidData);
        assert_eq!(refused(&[6, 3, 255, 255, 255, 255]), io::ErrorKind::InvalidData);
        assert_eq!(refused(&[6, 3, 1, 0, 0, 0, 255]), io::ErrorKind::InvalidData);
        assert_eq!(refused(&[]), io::ErrorKind::UnexpectedEof);
    }
}

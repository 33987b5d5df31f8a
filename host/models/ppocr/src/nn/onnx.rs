//! Reads the part of an ONNX file that convolution nets use: nodes, attributes, f32 and i64 tensors.
//!
//! The wire format is protocol buffers, <https://protobuf.dev/programming-guides/encoding/>; field numbers are those
//! of <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>. Whatever is broken ends as `None`.

use std::collections::HashMap;

/// A computation graph.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub nodes: Vec<Node>,
    /// Weights and constants by name.
    pub constants: HashMap<String, Constant>,
    /// Names of the inputs that are no constants.
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
}

/// One operator.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub op: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: HashMap<String, Attribute>,
}

/// The kinds of attributes our nets have.
#[derive(Debug, Default, Clone)]
pub(super) struct Attribute {
    pub float: f32,
    pub int: i64,
    pub text: String,
    pub ints: Vec<i64>,
    tensor: Option<Constant>,
}

/// A constant tensor; integers are kept apart.
#[derive(Debug, Default, Clone)]
pub(super) struct Constant {
    pub shape: Vec<usize>,
    pub floats: Vec<f32>,
    pub ints: Vec<i64>,
}

impl Node {
    pub fn ints(&self, name: &str) -> &[i64] {
        self.attributes.get(name).map_or(&[], |a| &a.ints)
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attributes.get(name).map_or(default, |a| a.int)
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.attributes.get(name).map_or(default, |a| a.float)
    }

    pub fn text(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", |a| &a.text)
    }
}

/// A field of a message: number and value.
enum Field<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Splits a message into its fields.
fn fields(mut message: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut out = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let field = match key & 7 {
            0 => Field::Varint(varint(&mut message)?),
            1 => {
                message = message.get(8..)?;
                continue;
            }
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                let (bytes, rest) = message.split_at_checked(length)?;
                message = rest;
                Field::Bytes(bytes)
            }
            5 => {
                let (bytes, rest) = message.split_at_checked(4)?;
                message = rest;
                Field::Fixed32(u32::from_le_bytes(bytes.try_into().ok()?))
            }
            _ => return None,
        };
        out.push((key >> 3, field));
    }
    Some(out)
}

/// The metadata entries of an ONNX file: `ModelProto.metadata_props`, pairs of key and value.
pub(crate) fn metadata(file: &[u8]) -> Vec<(String, String)> {
    let entry = |bytes: &[u8]| {
        let mut entry = (String::new(), String::new());
        for field in fields(bytes)? {
            match field {
                (1, Field::Bytes(key)) => entry.0 = String::from_utf8_lossy(key).into_owned(),
                (2, Field::Bytes(value)) => entry.1 = String::from_utf8_lossy(value).into_owned(),
                _ => {}
            }
        }
        Some(entry)
    };
    let props = fields(file).unwrap_or_default().into_iter();
    props
        .filter_map(|field| match field {
            (14, Field::Bytes(bytes)) => entry(bytes),
            _ => None,
        })
        .collect()
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The graph of an ONNX file (`ModelProto`).
pub(super) fn read(file: &[u8]) -> Option<Graph> {
    let model = fields(file)?;
    let graph = model.iter().find_map(|(n, f)| match f {
        Field::Bytes(bytes) if *n == 7 => Some(*bytes),
        _ => None,
    })?;
    let mut out = Graph::default();
    for (number, field) in fields(graph)? {
        let Field::Bytes(bytes) = field else { continue };
        match number {
            1 => out.nodes.push(node(bytes)?),
            5 => {
                let (name, constant) = tensor(bytes)?;
                out.constants.insert(name, constant);
            }
            11 => out.inputs.push(value_name(bytes)?),
            12 => out.outputs.push(value_name(bytes)?),
            _ => {}
        }
    }
    out.inputs.retain(|name| !out.constants.contains_key(name));
    // `Constant` nodes are constants in another dress.
    let (constants, nodes): (Vec<Node>, Vec<Node>) = out.nodes.into_iter().partition(|n| n.op == "Constant");
    out.nodes = nodes;
    for mut node in constants {
        let value = node.attributes.remove("value").and_then(|a| a.tensor)?;
        out.constants.insert(node.outputs.pop()?, value);
    }
    Some(out)
}

/// `ValueInfoProto`: its name.
fn value_name(bytes: &[u8]) -> Option<String> {
    fields(bytes)?.into_iter().find_map(|(n, f)| match f {
        Field::Bytes(name) if n == 1 => Some(text(name)),
        _ => None,
    })
}

/// `NodeProto`.
fn node(bytes: &[u8]) -> Option<Node> {
    let mut out = Node::default();
    for (number, field) in fields(bytes)? {
        let Field::Bytes(bytes) = field else { continue };
        match number {
            1 => out.inputs.push(text(bytes)),
            2 => out.outputs.push(text(bytes)),
            4 => out.op = text(bytes),
            5 => {
                let (name, attribute) = attribute(bytes)?;
                out.attributes.insert(name, attribute);
            }
            _ => {}
        }
    }
    Some(out)
}

/// `AttributeProto`.
fn attribute(bytes: &[u8]) -> Option<(String, Attribute)> {
    let (mut name, mut out) = (String::new(), Attribute::default());
    for (number, field) in fields(bytes)? {
        match (number, field) {
            (1, Field::Bytes(bytes)) => name = text(bytes),
            (2, Field::Fixed32(bits)) => out.float = f32::from_bits(bits),
            (3, Field::Varint(v)) => out.int = v as i64,
            (4, Field::Bytes(bytes)) => out.text = text(bytes),
            (5, Field::Bytes(bytes)) => out.tensor = Some(tensor(bytes)?.1),
            (8, Field::Varint(v)) => out.ints.push(v as i64),
            (8, Field::Bytes(bytes)) => packed(bytes, |v| out.ints.push(v as i64))?,
            _ => {}
        }
    }
    Some((name, out))
}

fn packed(mut bytes: &[u8], mut take: impl FnMut(u64)) -> Option<()> {
    while !bytes.is_empty() {
        take(varint(&mut bytes)?);
    }
    Some(())
}

/// `TensorProto` of f32 (type 1) or i64 (type 7); others have a shape and no values.
fn tensor(bytes: &[u8]) -> Option<(String, Constant)> {
    let (mut name, mut out, mut kind, mut raw) = (String::new(), Constant::default(), 0, None);
    for (number, field) in fields(bytes)? {
        match (number, field) {
            (1, Field::Varint(v)) => out.shape.push(usize::try_from(v).ok()?),
            (1, Field::Bytes(bytes)) => packed(bytes, |v| out.shape.push(v as usize))?,
            (2, Field::Varint(v)) => kind = v,
            (4, Field::Bytes(bytes)) => out.floats.extend(bytes.chunks_exact(4).map(le_f32)),
            (4, Field::Fixed32(bits)) => out.floats.push(f32::from_bits(bits)),
            (7, Field::Varint(v)) => out.ints.push(v as i64),
            (7, Field::Bytes(bytes)) => packed(bytes, |v| out.ints.push(v as i64))?,
            (8, Field::Bytes(bytes)) => name = text(bytes),
            (9, Field::Bytes(bytes)) => raw = Some(bytes),
            _ => {}
        }
    }
    if let Some(raw) = raw {
        match kind {
            1 => out.floats = raw.chunks_exact(4).map(le_f32).collect(),
            7 => out.ints = raw.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b)).collect(),
            _ => {}
        }
    }
    let size = out.shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b))?;
    let fits = [out.floats.len(), out.ints.len()]
        .iter()
        .all(|&n| n == 0 || n == size);
    fits.then_some((name, out))
}

fn le_f32(bytes: &[u8]) -> f32 {
    f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    #[test]
    fn a_graph_of_one_node_is_read() {
        let attribute = [message(1, b"axis"), vec![3 << 3, 2]].concat();
        let node = [
            message(1, b"x"),
            message(2, b"y"),
            message(4, b"Softmax"),
            message(5, &attribute),
        ]
        .concat();
        let weight = [
            vec![1 << 3, 2, 2 << 3, 1],
            message(8, b"w"),
            message(9, &[0, 0, 128, 63, 0, 0, 0, 64]),
        ]
        .concat();
        let graph = [
            message(1, &node),
            message(5, &weight),
            message(11, &message(1, b"x")),
            message(11, &message(1, b"w")),
            message(12, &message(1, b"y")),
        ]
        .concat();
        let graph = read(&message(7, &graph)).unwrap();
        assert_eq!(
            (graph.nodes[0].op.as_str(), graph.nodes[0].int("axis", 0)),
            ("Softmax", 2)
        );
        assert_eq!(graph.constants["w"].floats, [1.0, 2.0]);
        assert_eq!(
            (graph.inputs.as_slice(), graph.outputs.as_slice()),
            (&["x".to_owned()][..], &["y".to_owned()][..])
        );
    }

    #[test]
    fn broken_files_are_no_graph() {
        assert!(read(b"").is_none());
        assert!(
            read(&[0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_none(),
            "a length past the end"
        );
        assert!(read(&[0xff; 16]).is_none());
    }
}

//! A strict reader of the board's own HTML: every element has to be closed where it should, so that a mistake in a
//! template fails the test that reads the page.

use std::collections::{BTreeMap, BTreeSet};

const VOID: &[&str] = &["meta", "input", "br", "link", "img", "hr"];

#[derive(Debug, Default)]
pub struct Element {
    pub tag: String,
    pub attributes: BTreeMap<String, String>,
    pub children: Vec<Node>,
}

#[derive(Debug)]
pub enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    pub fn get(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute).map(String::as_str)
    }

    pub fn has(&self, attribute: &str) -> bool {
        self.attributes.contains_key(attribute)
    }

    /// All elements below this one, in the order of the document.
    pub fn all(&self) -> Vec<&Self> {
        let mut found = Vec::new();
        for node in &self.children {
            if let Node::Element(element) = node {
                found.push(element);
                found.extend(element.all());
            }
        }
        found
    }

    pub fn find(&self, matches: impl Fn(&Self) -> bool) -> Option<&Self> {
        self.all().into_iter().find(|element| matches(element))
    }

    pub fn by_id(&self, id: &str) -> Option<&Self> {
        self.find(|element| element.get("id") == Some(id))
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        for node in &self.children {
            match node {
                Node::Text(part) => text.push_str(part),
                Node::Element(element) if element.tag == "script" || element.tag == "style" => {}
                Node::Element(element) => text.push_str(&element.text()),
            }
        }
        text
    }

    /// The name that assistive technology reads for a control.
    pub fn accessible_name(&self, control: &Self) -> Option<String> {
        if let Some(ids) = control.get("aria-labelledby") {
            let texts: Vec<String> = ids.split(' ').filter_map(|id| self.by_id(id)).map(Self::text).collect();
            return Some(texts.join(" "));
        }
        if let Some(name) = control.get("aria-label") {
            return Some(name.to_owned());
        }
        if control.tag == "fieldset" {
            return control.find(|element| element.tag == "legend").map(Self::text);
        }
        let id = control.get("id")?;
        let label = self.find(|element| {
            element.tag == "label"
                && (element.get("for") == Some(id) || element.all().iter().any(|inner| inner.get("id") == Some(id)))
        });
        label.map(Self::text).or_else(|| control.get("placeholder").map(str::to_owned))
    }
}

/// Reads a page and checks what every page has to keep: closed elements, unique ids, references that resolve, and
/// nothing from elsewhere.
pub fn read(html: &str) -> Element {
    let root = parse(html);
    root.check();
    root
}

/// What a script puts into a page.
pub fn read_part(html: &str) -> Vec<Node> {
    parse(&format!("<!DOCTYPE html>{html}")).children
}

impl Element {
    /// What every page has to keep.
    pub fn check(&self) {
        // Its links may lead to what comes later.
        let whole = self.find(|element| element.has("data-later")).is_none();
        let mut ids = BTreeSet::new();
        for element in self.all() {
            if let Some(id) = element.get("id") {
                assert!(ids.insert(id.to_owned()), "the id {id} is given twice");
            }
        }
        for element in self.all() {
            for attribute in ["for", "aria-labelledby", "aria-describedby"] {
                for id in element.get(attribute).into_iter().flat_map(|ids| ids.split(' ')) {
                    assert!(ids.contains(id), "{attribute}={id} leads nowhere");
                }
            }
            if let Some(id) = element.get("href").and_then(|href| href.strip_prefix('#')).filter(|_| whole) {
                assert!(ids.contains(id), "href=#{id} leads nowhere");
            }
            for attribute in ["href", "src", "action"] {
                if let Some(address) = element.get(attribute) {
                    let local = address.starts_with('#') || (address.starts_with('/') && !address.starts_with("//"));
                    assert!(local, "{address} is not on the board");
                }
            }
        }
    }
}

fn parse(html: &str) -> Element {
    let mut stack = vec![Element::default()];
    let mut rest = html.strip_prefix("<!DOCTYPE html>").expect("a doctype");
    while let Some(open) = rest.find('<') {
        push_text(&mut stack, &rest[..open]);
        rest = &rest[open + 1..];
        if let Some(after) = rest.strip_prefix('/') {
            let end = after.find('>').expect("an end of the tag");
            close(&mut stack, &after[..end]);
            rest = &after[end + 1..];
            continue;
        }
        let (element, after) = parse_tag(rest);
        rest = after;
        let raw = element.tag == "script" || element.tag == "style";
        let tag = element.tag.clone();
        if VOID.contains(&tag.as_str()) {
            append(&mut stack, Node::Element(element));
        } else {
            stack.push(element);
        }
        if raw {
            let end = rest.find(&format!("</{tag}>")).expect("an end of the raw text");
            let text = Node::Text(rest[..end].to_owned());
            append(&mut stack, text);
            rest = &rest[end..];
        }
    }
    assert_eq!(stack.len(), 1, "unclosed: {:?}", stack.last().map(|open| &open.tag));
    stack.remove(0)
}

fn parse_tag(text: &str) -> (Element, &str) {
    let end = text.find([' ', '>']).expect("an end of the tag's name");
    let mut element = Element { tag: text[..end].to_owned(), ..Element::default() };
    let mut rest = &text[end..];
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('>') {
            return (element, after);
        }
        let end = rest.find(['=', ' ', '>']).expect("an end of the attribute");
        let name = rest[..end].to_owned();
        rest = &rest[end..];
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix("=\"") {
            let end = after.find('"').expect("an end of the value");
            value = unescape(&after[..end]);
            rest = &after[end + 1..];
        }
        let twice = element.attributes.insert(name.clone(), value).is_some();
        assert!(!twice, "attribute {name} is given twice");
    }
}

fn close(stack: &mut Vec<Element>, tag: &str) {
    let element = stack.pop().expect("an open element");
    assert_eq!(element.tag, tag, "elements are closed in order");
    append(stack, Node::Element(element));
}

fn append(stack: &mut [Element], node: Node) {
    stack.last_mut().expect("a root").children.push(node);
}

fn push_text(stack: &mut [Element], text: &str) {
    if !text.is_empty() {
        append(stack, Node::Text(unescape(text)));
    }
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}

//! A page processor at work: opened with a document, asked once what to change of it, lent page after page.

use super::{Context, DocInfo, Guest};
use crate::api::latest::convert::{MESSAGE_BYTES, cut};
use crate::api::latest::processor::PageProcessor;
use crate::api::latest::processor::exports::ocr_host::plugin::processor as wit;
use crate::error::{Cause, Phase, PluginFailure};
use crate::plugin::{Entry, Plugin};
use ocr_document::{Diagnostic, Edit, MAX_EDITS, Page, Severity};
use std::sync::Arc;
use wasmtime::component::{Resource, ResourceAny};

/// Most changes of a document that are made.
const MAX_DOCUMENT_EDITS: usize = 100;

/// Longest name and title that are taken, bytes.
const NAME_BYTES: usize = 255;

/// One change to what formatters are told of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentEdit {
    /// Replaces the title that the source states about itself, or takes it away.
    SetTitle(Option<String>),
    /// Replaces its name as formatters are told it.
    SetName(String),
}

impl DocumentEdit {
    /// Makes the change.
    pub fn apply(self, document: &mut DocInfo) {
        match self {
            DocumentEdit::SetTitle(title) => document.title = title,
            DocumentEdit::SetName(name) => document.name = name,
        }
    }
}

/// A processor with the document it works on.
pub struct ProcessorSession {
    pub(super) guest: Guest,
    bindings: PageProcessor,
    session: ResourceAny,
}

impl ProcessorSession {
    /// Starts `plugin` on a document; `config` is a JSON object that fits its schema.
    pub fn open(
        plugin: &Arc<Plugin>,
        context: &Context,
        document: &DocInfo,
        config: &str,
    ) -> Result<Self, PluginFailure> {
        let mut guest = Guest::new(plugin, context, None);
        let Entry::Processor(pre) = &plugin.entry else {
            let why = format!("it is {} and edits no pages", plugin.world().with_article());
            return Err(guest.failure(Phase::Instantiate, Cause::Trap(why), Vec::new()));
        };
        let bindings = guest.call(Phase::Instantiate, |store| pre.instantiate(store).map(Ok))?;
        let session = guest.call(Phase::Open, |store| {
            let session = bindings.ocr_host_plugin_processor().session();
            session.call_open(store, &document.into(), config)
        })?;
        Ok(Self {
            guest,
            bindings,
            session,
        })
    }

    /// The changes to make to the document, asked for before its first page.
    pub fn edit_document(&mut self) -> Result<Vec<DocumentEdit>, PluginFailure> {
        let (bindings, session) = (&self.bindings, self.session);
        let edits = self.guest.call(Phase::Open, |store| {
            let processor = bindings.ocr_host_plugin_processor();
            processor.session().call_edit_document(store, session)
        })?;
        if edits.len() > MAX_DOCUMENT_EDITS {
            let why = format!(
                "{} changes of a document are more than {MAX_DOCUMENT_EDITS}",
                edits.len()
            );
            return Err(self.wrong(Phase::Open, &why));
        }
        Ok(edits
            .into_iter()
            .map(|edit| match edit {
                wit::DocumentEdit::SetTitle(title) => {
                    DocumentEdit::SetTitle(title.map(|title| cut(&title, MESSAGE_BYTES)))
                }
                wit::DocumentEdit::SetName(name) => DocumentEdit::SetName(cut(&name, NAME_BYTES)),
            })
            .collect())
    }

    /// Lends the plugin one page; answers the changes to make to it.
    pub fn process(&mut self, page: &Arc<Page>) -> Result<Vec<Edit>, PluginFailure> {
        let phase = Phase::Page(page.info().number);
        let (bindings, session) = (&self.bindings, self.session);
        let edits = self.guest.call(phase, |store| {
            let handle = store.data_mut().table.push(page.clone())?;
            let lent = Resource::new_borrow(handle.rep());
            let processor = bindings.ocr_host_plugin_processor();
            let edits = processor.session().call_process(&mut *store, session, lent);
            store.data_mut().table.delete(handle)?;
            edits
        })?;
        if edits.len() > MAX_EDITS {
            let why = format!("{} edits of a page are more than {MAX_EDITS}", edits.len());
            return Err(self.wrong(phase, &why));
        }
        let edits: Result<Vec<Edit>, String> = edits
            .into_iter()
            .enumerate()
            .map(|(at, edit)| edit.try_into().map_err(|why| format!("edit {at}: {why}")))
            .collect();
        edits.map_err(|why| self.wrong(phase, &why))
    }

    /// Whether the plugin was stopped; a fresh session can go on with the next page.
    pub fn is_dead(&self) -> bool {
        self.guest.is_dead()
    }

    /// An answer that breaks the contract.
    fn wrong(&self, phase: Phase, why: &str) -> PluginFailure {
        let said = Diagnostic::new(Severity::Error, "invalid-edit", why);
        self.guest.failure(phase, Cause::Said(Box::new(said)), Vec::new())
    }
}

//! An output formatter at work: opened with a document, handed page after page, finished once.

use super::{Context, DocInfo, Guest};
use crate::api::latest::formatter::OutputFormatter;
use crate::error::{Cause, Phase, PluginFailure};
use crate::output::{FormatterOutput, OutputTree};
use crate::plugin::{Entry, Plugin};
use ocr_document::Page;
use std::sync::Arc;
use wasmtime::component::{Resource, ResourceAny};

/// A formatter with the document it works on.
pub struct FormatterSession {
    pub(super) guest: Guest,
    bindings: OutputFormatter,
    session: ResourceAny,
}

impl FormatterSession {
    /// Starts `plugin` on a document; `config` is a JSON object that fits its schema.
    pub fn open(
        plugin: &Arc<Plugin>,
        context: &Context,
        document: &DocInfo,
        config: &str,
        output: FormatterOutput,
    ) -> Result<Self, PluginFailure> {
        let mut guest = Guest::new(plugin, context, Some(OutputTree::new(output)));
        let Entry::Formatter(pre) = &plugin.entry else {
            let why = format!("it is {} and formats no pages", plugin.world().with_article());
            return Err(guest.failure(Phase::Instantiate, Cause::Trap(why), Vec::new()));
        };
        let bindings = guest.call(Phase::Instantiate, |store| pre.instantiate(store).map(Ok))?;
        let session = guest.call(Phase::Open, |store| {
            let session = bindings.ocr_host_plugin_formatter().session();
            session.call_open(store, &document.into(), config)
        })?;
        Ok(Self {
            guest,
            bindings,
            session,
        })
    }

    /// Lends the plugin one page.
    pub fn add_page(&mut self, page: &Arc<Page>) -> Result<(), PluginFailure> {
        let (bindings, session) = (&self.bindings, self.session);
        self.guest.call(Phase::Page(page.info().number), |store| {
            let handle = store.data_mut().table.push(page.clone())?;
            let lent = Resource::new_borrow(handle.rep());
            let added =
                bindings
                    .ocr_host_plugin_formatter()
                    .session()
                    .call_add_page(&mut *store, session, lent);
            store.data_mut().table.delete(handle)?;
            added
        })
    }

    /// Lets the plugin write what comes last, and makes sure that all of it has left the host. Answers the bytes
    /// written.
    pub fn finish(mut self) -> Result<u64, PluginFailure> {
        let (bindings, session) = (&self.bindings, self.session);
        self.guest.call(Phase::Finish, |store| {
            bindings
                .ocr_host_plugin_formatter()
                .session()
                .call_finish(store, session)
        })?;
        let tree = self
            .guest
            .store
            .data_mut()
            .output
            .as_mut()
            .expect("a formatter has an output");
        let (finished, bytes) = (tree.finish(), tree.bytes());
        finished.map_err(|e| {
            self.guest.failure(
                Phase::Finish,
                Cause::Host(format!("writing failed: {e}")),
                Vec::new(),
            )
        })?;
        Ok(bytes)
    }
}

impl Drop for FormatterSession {
    /// What a failed document has written so far is kept.
    fn drop(&mut self) {
        if let Some(tree) = &mut self.guest.store.data_mut().output {
            let _ = tree.flush();
        }
    }
}

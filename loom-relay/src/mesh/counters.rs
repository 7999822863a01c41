//! What a mesh has counted since it started.

macro_rules! counters {
    ($(#[doc = $doc:literal] $name:ident,)*) => {
        /// Totals; they only rise.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $(#[doc = $doc] pub $name: u64,)*
        }

        impl Counters {
            /// Every counter with its name and what it means, for metrics.
            pub fn entries(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((
                    stringify!($name),
                    $doc.trim_ascii_start(),
                    self.$name,
                ),)*]
            }
        }
    };
}

counters! {
    /// Frames heard.
    frames_in,
    /// Frames handed out for sending, one per link.
    frames_out,
    /// Bytes of frames heard.
    bytes_in,
    /// Bytes of frames handed out for sending.
    bytes_out,
    /// Messages read from frames.
    messages_in,
    /// Messages dropped because their id or content was heard lately.
    duplicates,
    /// Frames that were not JSON or held too many messages.
    frames_malformed,
    /// Frames above the size limit.
    frames_oversize,
    /// Messages refused for what they say.
    messages_refused,
    /// Puts heard.
    puts_in,
    /// Fields taken: they won their merge.
    fields_taken,
    /// Fields kept: what was held won.
    fields_kept,
    /// Fields deferred: stamped later than the local clock.
    fields_deferred,
    /// Fields refused because too many are deferred already.
    fields_not_deferred,
    /// Fields heard and not taken in because nothing could be stored.
    fields_unstored,
    /// Signatures and other claims of souls checked.
    signatures_checked,
    /// Fields refused because their soul does not allow them: unsigned, or not signed by its key.
    fields_unverified,
    /// Gets heard.
    gets_in,
    /// Gets answered with data.
    gets_found,
    /// Gets answered with nothing here.
    gets_missing,
    /// Unfinished answers refused because a link had too many.
    answers_refused,
    /// Acknowledgements and refusals heard.
    verdicts_in,
    /// Puts acknowledged.
    acks_out,
    /// Puts not acknowledged because too many acknowledgements wait for the store.
    acks_skipped,
    /// Answers to a question that is unknown or whose link is gone.
    answers_unroutable,
    /// Answers to this process' own messages.
    answers_own,
    /// Not-founds dropped because the asker has been answered.
    answers_redundant,
    /// Messages of kinds that are only passed on.
    others_in,
    /// Control messages of unknown kinds.
    dam_unknown,
    /// Complaints from other peers.
    complaints_in,
    /// Gets asked back to fetch what a peer wrote offline.
    pulls_out,
    /// Fields spread to other peers because an answer or a sync brought them.
    fields_spread,
    /// Roots compared with Loom peers.
    syncs_started,
    /// Comparisons that found both sides the same.
    syncs_finished,
    /// Attempts given up because the other side did not answer, or not sensibly.
    syncs_failed,
    /// Differences worked out among recent fields.
    sync_windows,
    /// Differences worked out among all fields.
    sync_fulls,
    /// Graphs copied because too much differed.
    sync_copies,
    /// Questions asked again because their answer did not come.
    sync_repeats,
    /// Messages of negentropy sent.
    sync_rounds,
    /// Fields received while syncing.
    sync_fields_in,
    /// Fields sent while syncing.
    sync_fields_out,
    /// Links opened.
    links_up,
    /// Links closed.
    links_down,
}

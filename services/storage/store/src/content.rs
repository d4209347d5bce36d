//! Documents, standing queries, sources, matches and analyses.

use async_trait::async_trait;
use tidemill_kernel::{Id, Page, PageRequest, Priority, TenantName, Timestamp};

use crate::Result;
use crate::task::NewTask;

/// One ingested item. Its id is derived from its content, so the same content of a tenant is one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The first 128 bits of the SHA-256 of its content.
    pub id: Id,
    /// The name of its source; may be empty.
    pub source: String,
    /// The sender's own id; may be empty.
    pub external_id: String,
    /// Where a person can read it; may be empty.
    pub url: String,
    /// One line.
    pub title: String,
    /// Readable text.
    pub body: String,
    /// When its author published it.
    pub published_at: Option<Timestamp>,
    /// When it was first stored. Set by the store to `now`.
    pub ingested_at: Timestamp,
}

/// A standing query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Given when it is new.
    pub id: Id,
    /// Unique in the tenant.
    pub name: String,
    /// The boolean expression.
    pub expression: String,
    /// The recipe with its version.
    pub recipe: String,
    /// The recipe's parameters, a JSON object as text; `{}` for none.
    pub parameters: String,
    /// The priority of its analyses.
    pub priority: Priority,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Query {
    /// Whether the other asks for the same under the same name.
    pub fn same_content(&self, other: &Self) -> bool {
        (&self.name, &self.expression, &self.recipe, &self.parameters, self.priority)
            == (&other.name, &other.expression, &other.recipe, &other.parameters, other.priority)
    }
}

/// What a source reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// A folder of files.
    Folder = 1,
    /// A feed by URL or file.
    Feed = 2,
}

impl SourceKind {
    /// The number that databases hold.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// The kind with this number.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Folder, Self::Feed].into_iter().find(|kind| kind.number() == number)
    }
}

/// Where documents come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Given when it is new.
    pub id: Id,
    /// Unique in the tenant.
    pub name: String,
    /// What it reads.
    pub kind: SourceKind,
    /// Path or URL.
    pub location: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last ran to its end.
    pub collected_at: Option<Timestamp>,
    /// What its collector remembers, opaque; empty before the first run.
    pub cursor: String,
}

/// A document with the queries that selected it.
#[derive(Debug, Clone, PartialEq)]
pub struct MatchedDocument {
    /// The document.
    pub document: Document,
    /// One for each query that selected it.
    pub matches: Vec<NewMatch>,
}

/// A match with the task that analyses it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMatch {
    /// The query.
    pub query_id: Id,
    /// How well the document fits; a number that is not finite is stored as 0.
    pub score: f64,
    /// Made only if the match is new.
    pub task: NewTask,
}

/// What became of one appended document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Whether the tenant had it already.
    pub duplicate: bool,
    /// How many matches were new.
    pub new_matches: u32,
}

/// An analysis as a recipe made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Analysis {
    /// The recipe with its version.
    pub recipe: String,
    /// A JSON object as text.
    pub output: String,
    /// `local` or the provider's name.
    pub provider: String,
    /// The provider's model; may be empty.
    pub model: String,
    /// Tokens read.
    pub input_tokens: i64,
    /// Tokens written.
    pub output_tokens: i64,
    /// When it was stored. Set by the store.
    pub created_at: Timestamp,
}

/// A match with its document and analysis, read in one query.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The query's name.
    pub query: String,
    /// The document, with an empty body.
    pub document: Document,
    /// How well it fits.
    pub score: f64,
    /// When it was selected.
    pub matched_at: Timestamp,
    /// Its analysis; none while it waits.
    pub analysis: Option<Analysis>,
}

/// A document that a full-text search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The document, with an empty body.
    pub document: Document,
    /// A piece of the body around the words found.
    pub snippet: String,
}

/// How much of everything a tenant has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Documents.
    pub documents: i64,
    /// Standing queries.
    pub queries: i64,
    /// Sources.
    pub sources: i64,
    /// Matches.
    pub matches: i64,
    /// Matches whose analysis is done.
    pub analyses: i64,
}

/// All queries of a tenant and the version of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuerySet {
    /// Rises with every added or removed query; 0 before the first.
    pub version: i64,
    /// None if the caller named this version.
    pub queries: Option<Vec<Query>>,
}

/// The content of tenants. A tenant that was never created reads as empty; writing to it is
/// [`crate::Error::NotFound`].
#[async_trait]
pub trait ContentStore: Send + Sync + 'static {
    /// Stores documents with their matches and tasks in one step. A document that exists is left as it is; a match
    /// that exists makes no second task. [`crate::Error::StaleQueries`] if the tenant's query set is not at
    /// `query_version`, [`crate::Error::NotFound`] for a match with an unknown query. A tenant has at most one analysis
    /// task and one analysis per query and document.
    async fn append_documents(
        &self,
        tenant: &TenantName,
        documents: Vec<MatchedDocument>,
        query_version: i64,
        now: Timestamp,
    ) -> Result<Vec<Appended>>;

    /// The documents with these ids, each once, in no order; unknown ones are left out.
    async fn documents(&self, tenant: &TenantName, ids: &[Id]) -> Result<Vec<Document>>;

    /// Adds a query and returns it as it stands. The same content again changes nothing; another content under the
    /// name is [`crate::Error::Exists`].
    async fn put_query(&self, tenant: &TenantName, query: Query) -> Result<Query>;

    /// All queries, unless the caller has that version.
    async fn load_queries(&self, tenant: &TenantName, known_version: Option<i64>) -> Result<QuerySet>;

    /// A page of queries by name.
    async fn page_queries(&self, tenant: &TenantName, page: PageRequest) -> Result<Page<Query>>;

    /// Removes a query with its matches and analyses, and cancels the waiting and running tasks of those matches.
    async fn remove_query(&self, tenant: &TenantName, name: &str, now: Timestamp) -> Result<()>;

    /// Adds a source and returns it as it stands. The same kind and location again changes nothing; another content
    /// under the name is [`crate::Error::Exists`].
    async fn put_source(&self, tenant: &TenantName, source: Source) -> Result<Source>;

    /// The source of this name.
    async fn source(&self, tenant: &TenantName, name: &str) -> Result<Option<Source>>;

    /// A page of sources by name.
    async fn page_sources(&self, tenant: &TenantName, page: PageRequest) -> Result<Page<Source>>;

    /// Removes a source; its documents stay.
    async fn remove_source(&self, tenant: &TenantName, name: &str) -> Result<()>;

    /// Stores what the source's collector remembers, and when it ran.
    async fn save_cursor(&self, tenant: &TenantName, name: &str, cursor: &str, at: Timestamp) -> Result<()>;

    /// A page of results: of one query by score, best first, equal ones in the order of storing; of all queries by time
    /// of the match, newest first, equal ones last stored first.
    /// [`crate::Error::NotFound`] for an unknown query name.
    async fn page_results(
        &self,
        tenant: &TenantName,
        query: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<Found>>;

    /// Full-text search over title and body: all words must occur; `"phrases"` and `prefix*` allowed; nothing else
    /// has a meaning, so that any text can be pasted (see [`crate::search`]). Those with all words in their title come
    /// first, each group newest first: an order that no other tenant's document and no later one can change.
    /// [`crate::Error::Search`] for a text without a word.
    async fn search_documents(&self, tenant: &TenantName, text: &str, page: PageRequest)
    -> Result<Page<Hit>>;

    /// How much of everything the tenant has.
    async fn counts(&self, tenant: &TenantName) -> Result<Counts>;
}

//! Runs recipes by their reference: the registry, the provider, and the room for what is computed here.

use std::sync::Arc;

use serde_json::{Map, Value};
use tidemill_chassis::clock::Stopwatch;
use tidemill_llm::Provider;
use tidemill_proto::types::v1::Analysis;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::metrics::Figures;
use crate::recipe::{self, Input, Kind, Output, Recipe, Registry};
use crate::{Error, Result, convert};

/// The recipe that is run when none is named.
const DEFAULT_RECIPE: &str = "brief";

/// Runs recipes.
pub(crate) struct Analyst {
    registry: Registry,
    provider: Option<Arc<dyn Provider>>,
    /// One permit for each computation: more at once than there are cores would only slow the runtime's threads.
    cores: Arc<Semaphore>,
    figures: Figures,
}

impl Analyst {
    /// The builtin recipes, on this provider.
    pub(crate) fn new(provider: Option<Arc<dyn Provider>>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let cores = Arc::new(Semaphore::new(cores));
        Self { registry: Registry::builtin(), provider, cores, figures: Figures::new() }
    }

    /// What there is to run.
    pub(crate) fn recipes(&self) -> impl Iterator<Item = &Recipe> {
        self.registry.iter()
    }

    /// The recipe of this reference (`brief` when it is empty), if it takes these parameters.
    pub(crate) fn check(&self, reference: &str, parameters: &Map<String, Value>) -> Result<&Recipe> {
        let recipe = self.recipe(reference)?;
        recipe::check(recipe, parameters)?;
        Ok(recipe)
    }

    fn recipe(&self, reference: &str) -> Result<&Recipe> {
        let reference = if reference.is_empty() { DEFAULT_RECIPE } else { reference };
        Ok(self.registry.get(reference)?)
    }

    /// Runs the recipe of this reference (`brief` when it is empty). The analysis has no `created_at`.
    pub(crate) async fn run(&self, reference: &str, input: Input) -> Result<Analysis> {
        let recipe = self.recipe(reference)?;
        let begun = Stopwatch::start();
        let output = match recipe.kind {
            Kind::Local => self.compute(recipe.clone(), input).await,
            Kind::Prompt(_) => {
                recipe::run(recipe, &input, self.provider.as_deref()).await.map_err(Into::into)
            }
        };
        self.figures.ran(recipe.reference(), begun.elapsed().as_secs_f64(), output.is_ok());
        convert::analysis(recipe, output?)
    }

    /// Runs a local recipe on a thread that may be kept busy. The permit stays with the computation, which goes on
    /// when its caller gives up.
    async fn compute(&self, recipe: Recipe, input: Input) -> Result<Output> {
        let permit = Arc::clone(&self.cores).acquire_owned().await;
        let permit = permit.map_err(|closed| Error::Interrupted(closed.to_string()))?;
        let computed = spawn_blocking(move || {
            let _permit = permit;
            // A local recipe never waits, so that this only computes.
            futures::executor::block_on(recipe::run(&recipe, &input, None))
        });
        Ok(computed.await.map_err(|fault| Error::Interrupted(fault.to_string()))??)
    }
}

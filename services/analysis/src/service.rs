//! `AnalysisService`: recipes on a text at once. Nothing is stored.

use std::sync::Arc;

use tidemill_chassis::FaultExt;
use tidemill_kernel::{Clock, ErrorKind, Fault};
use tidemill_proto::analysis::v1::analysis_service_server::AnalysisService;
use tidemill_proto::analysis::v1::{
    AnalyzeRequest, AnalyzeResponse, CheckRecipeRequest, CheckRecipeResponse, ListRecipesRequest,
    ListRecipesResponse,
};
use tidemill_proto::time::from_micros;
use tonic::{Request, Response, Status};

use crate::analyst::Analyst;
use crate::recipe::Input;
use crate::{Error, Result, convert};

/// The longest body, in bytes.
const MAX_BODY: usize = 1 << 20;
/// The longest title, in bytes: as long as a stored document's may be.
const MAX_TITLE: usize = 16 << 10;

/// The service.
pub(crate) struct Analyses {
    pub(crate) analyst: Arc<Analyst>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[tonic::async_trait]
impl AnalysisService for Analyses {
    async fn analyze(&self, request: Request<AnalyzeRequest>) -> Result<Response<AnalyzeResponse>, Status> {
        let request = request.into_inner();
        at_most("title", &request.title, MAX_TITLE)?;
        at_most("body", &request.body, MAX_BODY)?;
        let parameters = convert::object("parameters", request.parameters).map_err(Error::Invalid)?;
        let input = Input { title: request.title, body: request.body, parameters };
        let mut analysis = self.analyst.run(&request.recipe, input).await?;
        analysis.created_at = Some(from_micros(self.clock.now().as_micros()));
        Ok(Response::new(AnalyzeResponse { analysis: Some(analysis) }))
    }

    async fn check_recipe(
        &self,
        request: Request<CheckRecipeRequest>,
    ) -> Result<Response<CheckRecipeResponse>, Status> {
        let request = request.into_inner();
        let parameters = convert::object("parameters", request.parameters).map_err(Error::Invalid)?;
        let recipe = self.analyst.check(&request.recipe, &parameters).map_err(wrong)?;
        Ok(Response::new(CheckRecipeResponse { recipe: Some(convert::recipe(recipe)) }))
    }

    async fn list_recipes(
        &self,
        _: Request<ListRecipesRequest>,
    ) -> Result<Response<ListRecipesResponse>, Status> {
        let recipes = self.analyst.recipes().map(convert::recipe).collect();
        Ok(Response::new(ListRecipesResponse { recipes }))
    }
}

/// An unknown recipe is no missing thing here but a wrong word in the request.
fn wrong(error: Error) -> Status {
    let fault = error.fault();
    let kind = if fault.kind == ErrorKind::NotFound { ErrorKind::Invalid } else { fault.kind };
    Fault { kind, ..fault }.into_status()
}

fn at_most(field: &str, text: &str, max: usize) -> Result<()> {
    if text.len() <= max {
        return Ok(());
    }
    let description = format!("has {} bytes; at most {max} are allowed: shorten it", text.len());
    Err(Fault::invalid(field, description).into())
}

#[cfg(test)]
mod tests;

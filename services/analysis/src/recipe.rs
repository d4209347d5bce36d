//! Recipes: named, versioned analyses, run locally or on a language-model provider.
//!
//! Invariants:
//! - What [`run`] returns follows the recipe's output schema; a model's answer that does not, and is not mended at the
//!   second attempt, is an error that says why.
//! - A document is data: it reaches a model between marks that it cannot contain, and is cut to the recipe's budget.
//! - What was spent is known, for failures too ([`RecipeError::usage`]).
//!
//! To add a recipe: one function in `recipe/builtin.rs` and its line in [`Registry::builtin`]; a new version of one is
//! a new entry, as stored analyses name the version that made them.

mod answer;
mod builtin;
mod error;
mod prompt;
mod registry;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tidemill_llm::{Completion, Finish, Message, Provider, Request, ResponseSchema, Usage};

pub use error::RecipeError;
pub use registry::Registry;

use crate::text;

/// A named, versioned analysis.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Lower-case letters, digits and `_`.
    pub name: String,
    /// From 1.
    pub version: u32,
    /// What it says about a document, in a sentence.
    pub description: String,
    /// The JSON schema of its parameters; it takes none if absent.
    pub parameters_schema: Option<Value>,
    /// The JSON schema of its output.
    pub output_schema: Value,
    /// How it is run.
    pub kind: Kind,
}

/// How a recipe is run.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// By [`text::analyze`], without a model.
    Local,
    /// By a language model.
    Prompt(Prompt),
}

/// What a recipe asks of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// What the model is told about its part, before the rules that every recipe adds.
    pub system: String,
    /// The question: a Jinja template over `document` (marked and cut), `title`, `parameters`.
    pub template: String,
    /// Where the output's schema takes its allowed values from a parameter.
    pub choices: Option<Choices>,
    /// Characters of the document's body that the model sees.
    pub document_chars: usize,
    /// The answer's greatest length.
    pub max_tokens: u32,
    /// The sampling temperature; the provider's own if absent.
    pub temperature: Option<f32>,
    /// The time for one answer.
    pub timeout: Duration,
}

/// The values allowed at one place of the output are those of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choices {
    /// JSON pointer into the output schema, such as `/properties/label`.
    pub pointer: String,
    /// The parameter: an array.
    pub parameter: String,
}

/// What a recipe is run on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Input {
    /// The document's title; may be empty.
    pub title: String,
    /// The document's body.
    pub body: String,
    /// The recipe's parameters.
    pub parameters: Map<String, Value>,
}

/// What a recipe said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// The result; follows the recipe's output schema.
    pub json: Value,
    /// What it cost; nothing for a local recipe.
    pub usage: Usage,
    /// Who answered; `local` without a model.
    pub provider: String,
    /// The model that answered; the recipe itself without a model.
    pub model: String,
    /// Whether the first answer had to be mended.
    pub repaired: bool,
}

impl Recipe {
    /// The name with its version, as stored with a result: `brief@1`.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// Runs a recipe. A local one computes on the spot: about 0.1 ms for an abstract, 0.2 s for a mebibyte.
///
/// # Errors
/// [`RecipeError`]: parameters that break their schema, no provider where one is needed, the provider's own errors, an
/// answer that breaks the output schema twice.
pub async fn run(
    recipe: &Recipe,
    input: &Input,
    provider: Option<&dyn Provider>,
) -> Result<Output, RecipeError> {
    check(recipe, &input.parameters)?;
    match &recipe.kind {
        Kind::Local => run_local(recipe, input),
        Kind::Prompt(prompt) => {
            let provider = provider.ok_or_else(|| RecipeError::NoProvider { recipe: recipe.reference() })?;
            run_prompt(recipe, prompt, input, provider).await
        }
    }
}

/// Whether a recipe takes these parameters.
///
/// # Errors
/// [`RecipeError::Parameters`] names the place at fault and the rule.
pub fn check(recipe: &Recipe, parameters: &Map<String, Value>) -> Result<(), RecipeError> {
    let fault = |reason| RecipeError::Parameters { recipe: recipe.reference(), reason };
    let Some(schema) = &recipe.parameters_schema else {
        let known = parameters.keys().next();
        return known
            .map_or(Ok(()), |name| Err(fault(format!("`{name}` is not known; this recipe takes none"))));
    };
    let validator = answer::compile(recipe, schema)?;
    answer::check(&validator, &Value::Object(parameters.clone())).map_err(fault)
}

fn run_local(recipe: &Recipe, input: &Input) -> Result<Output, RecipeError> {
    let analysis = text::analyze(&input.title, &input.body);
    let json = serde_json::to_value(analysis)
        .map_err(|error| RecipeError::Definition { recipe: recipe.reference(), reason: error.to_string() })?;
    let (provider, model) = ("local".to_owned(), recipe.reference());
    Ok(Output { json, usage: Usage::default(), provider, model, repaired: false })
}

async fn run_prompt(
    recipe: &Recipe,
    prompt: &Prompt,
    input: &Input,
    provider: &dyn Provider,
) -> Result<Output, RecipeError> {
    let schema = answer::schema(recipe, prompt, &input.parameters)?;
    let validator = answer::compile(recipe, &schema)?;
    let mut request = request(recipe, prompt, input, &schema)?;

    let first = ask(recipe, provider, &request, Usage::default()).await?;
    let reason = match answer::read(&first.text, &validator) {
        Ok(json) => return Ok(output(first, json, false)),
        Err(reason) => reason,
    };
    tracing::debug!(recipe = recipe.reference(), reason, "asks the model to mend its answer");
    request.messages.push(Message::assistant(prompt::excerpt(&first.text)));
    request.messages.push(Message::user(prompt::repair(&reason)));
    let second = ask(recipe, provider, &request, first.usage).await?;
    match answer::read(&second.text, &validator) {
        Ok(json) => Ok(output(second, json, true)),
        Err(reason) => Err(RecipeError::Answer { recipe: recipe.reference(), reason, usage: second.usage }),
    }
}

fn request(recipe: &Recipe, prompt: &Prompt, input: &Input, schema: &Value) -> Result<Request, RecipeError> {
    Ok(Request {
        model: None,
        system: Some(prompt::system(prompt, schema)),
        messages: vec![Message::user(prompt::question(recipe, prompt, input)?)],
        max_tokens: Some(prompt.max_tokens),
        temperature: prompt.temperature,
        response_schema: Some(ResponseSchema {
            name: format!("{}_{}", recipe.name, recipe.version),
            schema: answer::for_provider(schema),
        }),
        timeout: prompt.timeout,
    })
}

/// Asks once; the usage of what came before is added to the answer's or the error's own.
async fn ask(
    recipe: &Recipe,
    provider: &dyn Provider,
    request: &Request,
    before: Usage,
) -> Result<Completion, RecipeError> {
    let mut completion = match provider.complete(request).await {
        Ok(completion) => completion,
        Err(source) => {
            let usage = before + source.usage().unwrap_or_default();
            return Err(RecipeError::Provider {
                recipe: recipe.reference(),
                source: Box::new(source),
                usage,
            });
        }
    };
    completion.usage = before + completion.usage;
    match completion.finish {
        Finish::Refused | Finish::ContentFilter => Err(RecipeError::Declined {
            recipe: recipe.reference(),
            reason: prompt::excerpt(&completion.text),
            usage: completion.usage,
        }),
        _ => Ok(completion),
    }
}

fn output(completion: Completion, json: Value, repaired: bool) -> Output {
    let Completion { usage, provider, model, .. } = completion;
    Output { json, usage, provider, model, repaired }
}

#[cfg(test)]
mod tests;

//! Recipes by name and version.

use std::collections::BTreeMap;

use super::{Recipe, RecipeError, builtin};

/// The recipes there are.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    recipes: BTreeMap<String, BTreeMap<u32, Recipe>>,
}

impl Registry {
    /// Those that every installation has: `brief`, `summarize`, `classify`.
    pub fn builtin() -> Self {
        let mut registry = Self::default();
        for recipe in [builtin::brief(), builtin::summarize(), builtin::classify()] {
            registry.add(recipe);
        }
        registry
    }

    /// Adds a recipe; one of the same name and version is replaced.
    pub fn add(&mut self, recipe: Recipe) {
        self.recipes.entry(recipe.name.clone()).or_default().insert(recipe.version, recipe);
    }

    /// The recipe of a reference: `brief` is the newest version, `brief@1` that very one.
    ///
    /// # Errors
    /// [`RecipeError::Unknown`] lists those that there are.
    pub fn get(&self, reference: &str) -> Result<&Recipe, RecipeError> {
        let found = match reference.split_once('@') {
            None => self.recipes.get(reference).and_then(|versions| versions.values().next_back()),
            Some((name, version)) => {
                let version = version.parse().ok();
                self.recipes.get(name).zip(version).and_then(|(versions, version)| versions.get(&version))
            }
        };
        found.ok_or_else(|| RecipeError::Unknown {
            name: reference.to_owned(),
            known: self.iter().map(Recipe::reference).collect(),
        })
    }

    /// All recipes, by name and then version.
    pub fn iter(&self) -> impl Iterator<Item = &Recipe> {
        self.recipes.values().flat_map(BTreeMap::values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_its_newest_version_and_a_version_itself() {
        let mut registry = Registry::builtin();
        registry.add(Recipe { version: 2, ..builtin::brief() });
        registry.add(Recipe { version: 10, ..builtin::brief() });
        let version = |reference: &str| registry.get(reference).map(|recipe| recipe.version).ok();
        assert_eq!(version("brief"), Some(10));
        assert_eq!((version("brief@1"), version("brief@2")), (Some(1), Some(2)));
        for unknown in ["", "Brief", "brief@", "brief@3", "brief@x", "brief@1@1", "@1"] {
            assert_eq!(version(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = Registry::builtin().get("sumarize").unwrap_err().to_string();
        assert_eq!(error, "there is no recipe `sumarize`; known are brief@1, classify@1, summarize@1");
    }
}

//! Shapes: tasks of one kind that fit the same workers and stand under the same limits across tenants.
//!
//! A worker is matched against shapes, not against tasks, and a limit on a kind or on a key of all tenants shuts shapes:
//! both cost the same with one tenant and with 100,000.

use hashbrown::HashMap;
use slab::Slab;
use tidemill_kernel::Timestamp;

use crate::bunch::Few;

/// What tasks of a shape have in common; names by number, each list ascending.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Form {
    pub(crate) kind: u32,
    /// Bytes that are set aside for each.
    pub(crate) memory: u64,
    pub(crate) zone: Option<u32>,
    pub(crate) labels: Few,
    /// Gates of keys, of all tenants together.
    pub(crate) key_gates: Few,
}

impl Form {
    /// A kind's tasks that ask for nothing.
    pub(crate) fn plain(kind: u32) -> Self {
        Self { kind, memory: 0, zone: None, labels: Few::new(), key_gates: Few::new() }
    }

    /// Whether not every worker of the kind can run it.
    pub(crate) fn is_demanding(&self) -> bool {
        self.memory > 0 || self.zone.is_some() || !self.labels.is_empty()
    }
}

/// A shape with what shuts it.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) form: Form,
    /// Every gate of all its tasks.
    pub(crate) gates: Few,
    /// How many of those are shut.
    pub(crate) shut: u32,
    /// How many bunches have it.
    pub(crate) bunches: u32,
    /// How many pools serve it.
    pub(crate) pools: u32,
    /// When a worker that could hold one of its tasks had too little memory free first, since one was started.
    pub(crate) passed_since: Option<Timestamp>,
}

impl Shape {
    /// Whether a worker with so much free memory may be given one now.
    pub(crate) fn can_serve(&self, free_memory: u64) -> bool {
        self.shut == 0 && self.form.memory <= free_memory
    }

    /// Whether nothing can shut it: any worker that runs its kind can be given one at any time.
    pub(crate) fn is_free(&self) -> bool {
        self.gates.is_empty() && self.form.memory == 0
    }

    /// Whether its tasks wait for something else than a free slot.
    pub(crate) fn is_stuck(&self) -> bool {
        self.shut > 0 || (self.pools == 0 && self.form.is_demanding())
    }
}

/// All shapes, by number.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    shapes: Slab<Shape>,
    by_form: HashMap<Form, u32>,
}

impl Shapes {
    pub(crate) fn find(&self, form: &Form) -> Option<u32> {
        self.by_form.get(form).copied()
    }

    /// A new shape, with the gates that stand before it and how many of them are shut.
    pub(crate) fn add(&mut self, form: Form, gates: Few, shut: u32) -> u32 {
        let shape = Shape { form: form.clone(), gates, shut, bunches: 0, pools: 0, passed_since: None };
        let number = u32::try_from(self.shapes.insert(shape)).unwrap_or(u32::MAX);
        self.by_form.insert(form, number);
        number
    }

    pub(crate) fn remove(&mut self, number: u32) {
        if let Some(shape) = self.shapes.try_remove(number as usize) {
            self.by_form.remove(&shape.form);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Shape)> {
        self.shapes.iter().map(|(number, shape)| (u32::try_from(number).unwrap_or(u32::MAX), shape))
    }
}

impl std::ops::Index<u32> for Shapes {
    type Output = Shape;

    fn index(&self, number: u32) -> &Shape {
        &self.shapes[number as usize]
    }
}

impl std::ops::IndexMut<u32> for Shapes {
    fn index_mut(&mut self, number: u32) -> &mut Shape {
        &mut self.shapes[number as usize]
    }
}

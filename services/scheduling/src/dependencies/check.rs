//! Whether what a submission depends on is there, or comes with it.

use tidemill_chassis::{Context, FaultExt, fault};
use tidemill_kernel::Fault;
use tidemill_proto::storage::v1::{FindTasksRequest, FoundTask};
use tidemill_proto::types::v1::dependency::Task as Named;
use tidemill_proto::types::v1::{Dependency, NewTask};
use tonic::Status;

use super::{Outside, is_known, outside, unknown};
use crate::service::Scheduling;
use crate::submit::is_refusal;

impl Scheduling {
    /// What tasks depend on has to be there, or to come with them. A task that is there itself, sent once more, was asked about
    /// when it came: what it named then may be known no more.
    pub(crate) async fn check_dependencies(
        &self,
        context: &Context,
        tasks: &[NewTask],
    ) -> Result<(), Status> {
        let refuse = |(field, rule): super::Fault| Fault::invalid(field, rule).into_status();
        let named = outside(tasks).map_err(refuse)?;
        let references = named.iter().map(|one| one.dependency.clone()).collect();
        let found = self.find(context, references).await;
        let found = found.map_err(|status| of_the_caller(&status, &named))?;
        let missing = named.iter().zip(&found).filter(|(_, found)| !is_known(found));
        let mut missing: Vec<&Outside> = missing.map(|(named, _)| named).collect();
        missing.dedup_by_key(|one| one.place);
        let known = self.known(context, &missing, tasks).await?;
        match missing.iter().zip(known).find(|(_, is_known)| !is_known) {
            Some((missing, _)) => Err(refuse(unknown(missing))),
            None => Ok(()),
        }
    }

    /// Of the tasks that name these: whether each makes nothing new, because its key is known.
    async fn known(
        &self,
        context: &Context,
        named: &[&Outside],
        tasks: &[NewTask],
    ) -> Result<Vec<bool>, Status> {
        let key = |task: &NewTask| Dependency { task: Some(Named::Key(task.key.clone())) };
        let may_be_known = |task: &NewTask| !task.key.is_empty() && !task.unique;
        let own = named.iter().map(|one| &tasks[one.place]);
        let keys = own.clone().filter(|task| may_be_known(task)).map(key).collect();
        let found = match self.find(context, keys).await {
            // A key that none can have.
            Err(fault) if is_refusal(&fault) => Vec::new(),
            answer => answer?,
        };
        let mut found = found.into_iter();
        let is_there =
            |task: &NewTask| may_be_known(task) && found.next().is_some_and(|found| !found.id.is_empty());
        Ok(own.map(is_there).collect())
    }

    async fn find(&self, context: &Context, tasks: Vec<Dependency>) -> Result<Vec<FoundTask>, Status> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let request = FindTasksRequest { tenant: context.tenant()?.to_string(), tasks };
        Ok(self.tasks().find_tasks(context.request(request)).await?.into_inner().tasks)
    }
}

/// A refusal of a question about these, in the words of whoever submitted what names them.
fn of_the_caller(status: &Status, named: &[Outside]) -> Status {
    let mut fault = fault::from_status(status);
    for violation in &mut fault.violations {
        let numbered = violation.field.strip_prefix("tasks[").and_then(|field| field.split_once(']'));
        let named =
            numbered.and_then(|(number, rest)| Some((named.get(number.parse::<usize>().ok()?)?, rest)));
        let Some((named, rest)) = named else { continue };
        let field = format!("{}{rest}", named.field());
        fault.message = fault.message.replacen(&violation.field, &field, 1);
        violation.field = field;
    }
    fault.into_status()
}

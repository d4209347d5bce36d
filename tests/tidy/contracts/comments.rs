//! Rule: every service, rpc, message, field, enum and enum value of the contracts has a comment above it.

use prost_reflect::{DescriptorPool, FileDescriptor};
use prost_types::{DescriptorProto, EnumDescriptorProto, ServiceDescriptorProto};

use super::{ElementPath, Positions, below, own_files, workspace_path};
use crate::violation::Violation;

/// What a rule may say about an element.
struct Element {
    what: &'static str,
    name: String,
    path: ElementPath,
}

fn check(pool: &DescriptorPool) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in own_files(pool) {
        let positions = Positions::of(&file);
        let bare = elements(&file).into_iter().filter(|element| positions.comment(&element.path).is_empty());
        violations.extend(bare.map(|Element { what, name, path }| {
            let mend = "say above it what it is, its unit and its default";
            Violation::new(
                &workspace_path(&file),
                positions.line(&path),
                format!("{what} `{name}` has no comment"),
                mend,
            )
        }));
    }
    violations
}

fn elements(file: &FileDescriptor) -> Vec<Element> {
    let proto = file.file_descriptor_proto();
    let mut all = Vec::new();
    for (index, message) in proto.message_type.iter().enumerate() {
        add_message(&mut all, message, below(&[], 4, index));
    }
    for (index, enumeration) in proto.enum_type.iter().enumerate() {
        add_enum(&mut all, enumeration, below(&[], 5, index));
    }
    for (index, service) in proto.service.iter().enumerate() {
        add_service(&mut all, service, below(&[], 6, index));
    }
    all
}

fn add_message(all: &mut Vec<Element>, message: &DescriptorProto, path: ElementPath) {
    // The compiler makes a message out of every map field.
    if message.options.as_ref().is_some_and(|options| options.map_entry()) {
        return;
    }
    let parent = message.name();
    for (index, field) in message.field.iter().enumerate() {
        let name = format!("{parent}.{}", field.name());
        all.push(Element { what: "field", name, path: below(&path, 2, index) });
    }
    for (index, nested) in message.nested_type.iter().enumerate() {
        add_message(all, nested, below(&path, 3, index));
    }
    for (index, enumeration) in message.enum_type.iter().enumerate() {
        add_enum(all, enumeration, below(&path, 4, index));
    }
    all.push(Element { what: "message", name: parent.to_owned(), path });
}

fn add_enum(all: &mut Vec<Element>, enumeration: &EnumDescriptorProto, path: ElementPath) {
    for (index, value) in enumeration.value.iter().enumerate() {
        all.push(Element { what: "enum value", name: value.name().to_owned(), path: below(&path, 2, index) });
    }
    all.push(Element { what: "enum", name: enumeration.name().to_owned(), path });
}

fn add_service(all: &mut Vec<Element>, service: &ServiceDescriptorProto, path: ElementPath) {
    for (index, method) in service.method.iter().enumerate() {
        let name = format!("{}.{}", service.name(), method.name());
        all.push(Element { what: "rpc", name, path: below(&path, 2, index) });
    }
    all.push(Element { what: "service", name: service.name().to_owned(), path });
}

#[cfg(test)]
mod tests {
    use super::super::compile;
    use super::*;
    use crate::tree::{self, SourceFile};
    use crate::violation;

    fn faults(text: &str) -> Vec<usize> {
        let file = SourceFile::new("proto/tidemill/x/v1/x.proto", text);
        let violations = compile(&[file]).map_or_else(|failure| vec![failure], |pool| check(&pool));
        let mut lines: Vec<usize> =
            violation::places(&violations).into_iter().map(|(_, line)| line).collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn every_element_of_the_contracts_is_commented() -> anyhow::Result<()> {
        let violations = compile(&tree::files()?).map_or_else(|failure| vec![failure], |pool| check(&pool));
        violation::expect_none("comments in contracts", &violations)
    }

    #[test]
    fn commented_contracts_pass() {
        let text = r#"syntax = "proto3";
package tidemill.x.v1;
// A service.
service XService {
  // Gets.
  rpc Get(GetRequest) returns (GetResponse);
}
// Asks.
message GetRequest {
  // By name.
  map<string, string> names = 1;
}
// Answers.
message GetResponse {}
// A state.
enum State {
  // None.
  STATE_UNSPECIFIED = 0;
}
"#;
        assert_eq!(faults(text), [0usize; 0]);
    }

    #[test]
    fn every_kind_of_bare_element_is_reported() {
        let text = r#"syntax = "proto3";
package tidemill.x.v1;
service XService {
  rpc Get(GetRequest) returns (GetResponse);
}
message GetRequest {
  string name = 1; // beside is not above
  message Nested {
    oneof kind {
      bool yes = 1;
    }
  }
}
// Answers.
message GetResponse {}
enum State {
  STATE_UNSPECIFIED = 0;
}
"#;
        assert_eq!(faults(text), [3, 4, 6, 7, 8, 10, 16, 17]);
    }

    #[test]
    fn a_contract_that_does_not_compile_is_reported() {
        assert_eq!(faults("syntax = \"proto3\";\nmessage {"), [1]);
    }
}

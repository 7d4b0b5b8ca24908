//! The deployed policies in process: their YAML, compiled and evaluated by kube-cel. It knows no policy `variables`, so
//! each becomes a variable of its own: all of them, in their order, where the API server evaluates those that it needs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use kube_cel::KubeCelExt;
use kube_cel::cel::extractors::This;
use kube_cel::cel::{Context, ExecutionError, Program, Value as Cel, to_value};
use regex::Regex;
use serde_json::Value;

/// A policy, compiled.
pub struct Policy {
    conditions: Vec<Expression>,
    variables: Vec<(String, Expression)>,
    validations: Vec<[Expression; 2]>,
    functions: Context<'static>,
}

struct Expression {
    text: String,
    program: Program,
}

impl Policy {
    /// That of `deploy/base/policy/FILE`.
    pub fn deployed(file: &str) -> Self {
        let policy = document(file);
        let list = |field: &str| policy["spec"][field].as_array().unwrap().clone();
        let expressions = |items: Vec<Value>, field: &str| -> Vec<Expression> {
            items.iter().map(|item| Expression::compile(item[field].as_str().unwrap())).collect()
        };
        let names = list("variables").into_iter().map(|variable| variable["name"].as_str().unwrap().to_owned());
        let messages = expressions(list("validations"), "messageExpression");
        Self {
            conditions: expressions(list("matchConditions"), "expression"),
            variables: names.zip(expressions(list("variables"), "expression")).collect(),
            validations: std::iter::zip(expressions(list("validations"), "expression"), messages)
                .map(|(validation, message)| [validation, message])
                .collect(),
            functions: context(),
        }
    }

    /// The message of each validation that fails; empty if the policy does not match.
    ///
    /// # Panics
    ///
    /// When an expression errs, whether or not its value matters here.
    pub fn objections(&self, before: &Value, after: &Value) -> Vec<Option<String>> {
        let mut context = self.functions.new_inner_scope();
        context.add_variable_from_value("object", to_value(after).unwrap());
        context.add_variable_from_value("oldObject", to_value(before).unwrap());
        if !self.conditions.iter().all(|condition| condition.holds(&context)) {
            return vec![None; self.validations.len()];
        }
        for (name, expression) in &self.variables {
            let value = expression.value(&context);
            context.add_variable_from_value(format!("variables_{name}"), value);
        }
        let objection = |[validation, message]: &[Expression; 2]| {
            let Cel::String(message) = message.value(&context) else { panic!("no message: {}", message.text) };
            (!validation.holds(&context)).then(|| message.to_string())
        };
        self.validations.iter().map(objection).collect()
    }
}

impl Expression {
    fn compile(text: &str) -> Self {
        let text = text.replace("variables.", "variables_");
        let program = Program::compile(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        Self { text, program }
    }

    fn value(&self, context: &Context<'_>) -> Cel {
        self.program.execute(context).unwrap_or_else(|error| panic!("{}: {error}", self.text))
    }

    fn holds(&self, context: &Context<'_>) -> bool {
        let Cel::Bool(holds) = self.value(context) else { panic!("neither true nor false: {}", self.text) };
        holds
    }
}

/// The first document of a file of `deploy/base/policy`, which is the policy.
pub fn document(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/base/policy").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    serde_saphyr::from_multiple::<Value>(&text).unwrap().remove(0)
}

thread_local! {
    static PATTERNS: RefCell<HashMap<String, Rc<Regex>>> = RefCell::default();
}

/// kube-cel compiles a pattern at each call, which takes longer than all the rest.
fn pattern(text: &str) -> Rc<Regex> {
    PATTERNS.with_borrow_mut(|patterns| {
        patterns.entry(text.to_owned()).or_insert_with(|| Rc::new(Regex::new(text).unwrap())).clone()
    })
}

/// What the API server knows. Where kube-cel differs: it counts bytes for characters.
fn context() -> Context<'static> {
    let mut context = Context::default().with_all();
    context.add_function("matches", |This(text): This<Arc<String>>, regex: Arc<String>| -> bool {
        pattern(&regex).is_match(&text)
    });
    context.add_function("find", |This(text): This<Arc<String>>, regex: Arc<String>| -> Arc<String> {
        Arc::new(pattern(&regex).find(&text).map_or_else(String::new, |found| found.as_str().to_owned()))
    });
    context.add_function(
        "findAll",
        |This(text): This<Arc<String>>, regex: Arc<String>| -> Result<Cel, ExecutionError> {
            let found: Vec<Cel> = pattern(&regex).find_iter(&text).map(|found| found.as_str().into()).collect();
            Ok(found.into())
        },
    );
    context.add_function("size", |value: Cel| -> i64 {
        let size = match value {
            Cel::String(text) => text.chars().count(),
            Cel::Bytes(bytes) => bytes.len(),
            Cel::List(list) => list.len(),
            other => panic!("size of {other:?}"),
        };
        i64::try_from(size).unwrap()
    });
    context
}

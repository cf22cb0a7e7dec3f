//! A program as a user of Valet writes it: one workflow, two steps, every verb.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet::{Context, Registry, Step, StepError, Stop, Workflow};

#[derive(Serialize, Deserialize)]
struct LookUp {
    isbn: String,
}

impl Step for LookUp {
    const NAME: &'static str = "look-up";
    type Output = String;
}

#[derive(Serialize, Deserialize)]
struct Order {
    title: String,
    copies: u32,
}

impl Step for Order {
    const NAME: &'static str = "order";
    type Output = String;
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BuyBookInput {
    isbn: String,
    #[schemars(range(min = 1, max = 100))]
    copies: u32,
}

struct BuyBook;

impl Workflow for BuyBook {
    const NAME: &'static str = "buy-book";
    type Input = BuyBookInput;
    type Output = String;

    async fn run(ctx: Context, input: BuyBookInput) -> Result<String, Stop> {
        let title = ctx.step(LookUp { isbn: input.isbn }).await?;
        ctx.set_status(format!("ordering {title}"));
        Ok(ctx.step(Order { title, copies: input.copies }).await?)
    }
}

fn registry() -> Registry {
    valet::workflows!(Registry::new(1), workflow::<BuyBook>)
        .step(|_, step: LookUp| async move { Ok(format!("The Book {}", step.isbn)) })
        .step(|_, step: Order| async move { Ok::<_, StepError>(format!("{} × {}", step.copies, step.title)) })
}

fn main() {
    valet::main(registry())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use valet_testing::TestEngine;

    use super::{BuyBook, LookUp, Order};

    valet_testing::contract!(
        buy_book: BuyBook,
        input = json!({ "isbn": "978-0", "copies": 2 }),
        steps = TestEngine::new()
            .on_step(|step: LookUp, _| Ok(format!("The Book {}", step.isbn)))
            .on_step(|step: Order, _| Ok(format!("{} × {}", step.copies, step.title))),
    );
}

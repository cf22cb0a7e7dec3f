//! The fields of the form whose questions depend on answers. By most seeds a sensible profile meets conditions and
//! answers what appears; by some a person has to.

use super::build::Builder;
use super::field::{Condition, Field};
use super::{Page, Section};
use crate::meaning::Meaning;
use crate::wording;

/// What a profile knows, and what other forms ask of everybody.
const FOLLOW_UPS: [Meaning; 5] =
    [Meaning::City, Meaning::Linkedin, Meaning::Country, Meaning::PostalCode, Meaning::Website];

/// Which question makes others appear, and which.
struct Plan {
    /// Met by whoever may work and needs no sponsor.
    met: Condition,
    follow_ups: Vec<Meaning>,
    /// A condition that such a person does not meet.
    unmet: Option<Condition>,
    /// The second question appears by the answer to the first.
    chained: bool,
}

impl Plan {
    fn draw(builder: &mut Builder) -> Self {
        let draw = &mut *builder.draw;
        let met = draw.pick(&[AUTHORIZED, UNSPONSORED]);
        let mut follow_ups = FOLLOW_UPS.to_vec();
        draw.shuffle(&mut follow_ups);
        follow_ups.truncate(draw.number(1..3) as usize);
        let beyond_profiles = draw.chance(12);
        if beyond_profiles {
            follow_ups = vec![Meaning::FreeQuestion];
        }
        let unmet = draw.pick(&[UNAUTHORIZED, SPONSORED]);
        let unmet = (draw.chance(60) && !beyond_profiles).then_some(unmet);
        Self { met, follow_ups, unmet, chained: draw.chance(25) }
    }
}

const AUTHORIZED: Condition = Condition { meaning: Meaning::WorkAuthorization, is: "yes" };
const UNAUTHORIZED: Condition = Condition { meaning: Meaning::WorkAuthorization, is: "no" };
const UNSPONSORED: Condition = Condition { meaning: Meaning::Sponsorship, is: "no" };
const SPONSORED: Condition = Condition { meaning: Meaning::Sponsorship, is: "yes" };

pub fn pages(builder: &mut Builder) -> Vec<Page> {
    let plan = Plan::draw(builder);
    let identity = identity(builder, &plan);
    let resume = builder.file(Meaning::Resume, true);
    let documents = builder.section(wording::DOCUMENT_TITLES, vec![resume]);
    let questions = questions(builder, &plan);
    vec![builder.page(wording::FORM_TITLES, vec![identity, documents, questions])]
}

fn identity(builder: &mut Builder, plan: &Plan) -> Section {
    let mut fields = builder.names();
    fields.push(builder.line(Meaning::Email, true));
    fields.push(builder.line(Meaning::Phone, true));
    for meaning in [Meaning::City, Meaning::Linkedin] {
        if !plan.follow_ups.contains(&meaning) && builder.draw.chance(60) {
            fields.push(builder.line(meaning, false));
        }
    }
    builder.section(wording::IDENTITY_TITLES, fields)
}

/// Each question is followed by those that it makes appear.
fn questions(builder: &mut Builder, plan: &Plan) -> Section {
    let authorization = builder.yes_no(Meaning::WorkAuthorization, true);
    let mut sponsorship = builder.yes_no(Meaning::Sponsorship, true);
    if plan.chained {
        sponsorship.when = Some(AUTHORIZED);
    }
    let title = builder.draw.pick(wording::QUESTION_TITLES);
    let mut fields = Vec::new();
    for question in [authorization, sponsorship] {
        let meaning = question.meaning;
        fields.push(question);
        if plan.met.meaning == meaning {
            for follow_up in &plan.follow_ups {
                fields.push(follow_up_on(builder, *follow_up, plan.met, wording::twist::MORE_QUESTIONS));
            }
        }
        if let Some(unmet) = plan.unmet.filter(|unmet| unmet.meaning == meaning) {
            fields.push(follow_up_on(builder, Meaning::FreeQuestion, unmet, wording::twist::PERMIT_QUESTIONS));
        }
    }
    if builder.draw.chance(40) {
        fields.push(builder.how_heard());
    }
    Section { title, fields }
}

fn follow_up_on(builder: &mut Builder, meaning: Meaning, when: Condition, free: &[&'static str]) -> Field {
    let mut field = match meaning {
        Meaning::Country => builder.country(true),
        Meaning::FreeQuestion => {
            let mut area = builder.area(meaning, true);
            builder.draw.pick(free).clone_into(&mut area.label);
            area
        }
        _ => builder.line(meaning, true),
    };
    field.when = Some(when);
    field
}

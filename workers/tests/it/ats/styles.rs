//! Pages in the styles of hiring sites, written by ourselves from what is known of their markup and behaviour.
//!
//! Each asks one question that nobody can answer, and has one trap.
#![expect(clippy::format_push_string, reason = "a page's parts are read one after the other")]

use super::super::site::Page;
use super::fixture::{Ask, CODE, Field, Fixture, Language, THANKS, Trap};
use super::scripts::{CONTROLLED, LATE, MODAL, PARSER, PICKER, REACT_SELECT, SEND, SHADOW, UPLOAD, YES_NO_BUTTONS};

/// Where it begins, and the paths that take parts of it, on the site or on the other.
pub struct Way {
    pub start: &'static str,
    pub takes: &'static [&'static str],
    pub elsewhere: bool,
}

pub type Style = fn(&mut Fixture) -> Way;

pub const STYLES: [(&str, Style); 25] = [
    ("greenhouse", greenhouse),
    ("greenhouse_embedded", greenhouse_embedded),
    ("lever", lever),
    ("ashby", ashby),
    ("workday", workday),
    ("smartrecruiters", smartrecruiters),
    ("workable", workable),
    ("recruitee", recruitee),
    ("icims", icims),
    ("taleo", taleo),
    ("wordpress", wordpress),
    ("bamboohr", bamboohr),
    ("jobvite", jobvite),
    ("breezy", breezy),
    ("teamtailor", teamtailor),
    ("personio", personio),
    ("successfactors", successfactors),
    ("jazzhr", jazzhr),
    ("oracle", oracle),
    ("pinpoint", pinpoint),
    ("freshteam", freshteam),
    ("comeet", comeet),
    ("zoho", zoho),
    ("paylocity", paylocity),
    ("aria", aria),
];

fn one_page(start: &'static str) -> Way {
    Way { start, takes: &["/send"], elsewhere: false }
}

fn document(title: &str, body: &str) -> String {
    format!("<!doctype html><html lang=en><head><title>{title}</title></head><body>{body}</body></html>")
}

fn posting(f: &mut Fixture, path: &str, way: &str) {
    let apply = f.pick(&["Apply for this job", "Apply now", "Apply", "I'm interested"]);
    let text = "You look after the walled garden and its quinces. ".repeat(12);
    let html = format!(
        "<script type='application/ld+json'>{{\"@type\":\"JobPosting\",\"title\":\"Gardener\",\"hiringOrganization\":{{\"name\":\"Roots\"}}}}</script>
         <h1>Gardener</h1><p>{text}</p><a href='{way}'>{apply}</a>"
    );
    f.page(path, document("Gardener - Roots", &html));
}

fn submit(f: &mut Fixture) -> &'static str {
    f.pick(&["Submit application", "Send application", "Submit your application", "Submit"])
}

/// A label for its field.
fn row(field: &Field, kind: &str, more: &str) -> String {
    let Field { name, label } = field;
    let id: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    format!(
        "<div class=field><label for='{id}'>{label}</label><input type='{kind}' id='{id}' name='{name}' {more}></div>\n"
    )
}

/// Choices with their values behind radio buttons.
fn radios(field: &Field, choices: &[(&str, &str)]) -> String {
    let Field { name, label } = field;
    let one = |(at, (value, text)): (usize, &(&str, &str))| {
        format!("<label><input type=radio name='{name}' value='{value}' id='{name}-{at}'> {text}</label> ")
    };
    let all: String = choices.iter().enumerate().map(one).collect();
    format!("<fieldset><legend>{label} *</legend>{all}</fieldset>\n")
}

/// The hosted form: selects made of other elements with an input of their own beside, a resume that is sent on at once and whose field
/// goes away, a field that people do not see.
fn greenhouse_form(f: &mut Fixture, action: &str, confirm: bool) -> String {
    let mut fields = String::new();
    for (ask, name, kind) in
        [(Ask::First, "first_name", "text"), (Ask::Last, "last_name", "text"), (Ask::Email, "email", "email")]
    {
        fields += &row(&f.ask(ask, name), kind, "aria-required=true maxlength=255");
    }
    if confirm {
        fields += &row(&f.ask(Ask::ConfirmEmail, "job_application[confirmation]"), "email", "aria-required=true");
    }
    fields += &row(&f.ask(Ask::Phone, "phone"), "tel", "");
    let resume = f.ask(Ask::Resume, "resume_url_filename");
    fields += &format!(
        "<div class=file-upload role=group aria-labelledby=upload-label><div id=upload-label>{}<span>*</span></div>
         <button type=button onclick='resume.click()'>Attach</button><input id=resume type=file class=visually-hidden
         accept='.pdf,.doc,.docx,.txt,.rtf' data-into=resume_url_filename></div>\n",
        resume.label
    );
    for (ask, name) in [(Ask::Authorized, "question_4001"), (Ask::Sponsorship, "question_4002")] {
        let field = f.ask_yes_no(ask, name, ("1", "0"));
        fields += &format!(
            "<div class=select><label id='{name}-label' for='{name}'>{}<span aria-hidden=true>*</span></label>
             <div class=select__control><div class=select__value-container><div class=select__placeholder>Select...</div>
             <input class=select__input id='{name}' role=combobox aria-expanded=false aria-haspopup=true aria-labelledby='{name}-label'
             autocomplete=off></div></div><input required tabindex=-1 aria-hidden=true class=requiredInput value=''>
             <input type=hidden name='{name}' data-options='Yes=1|No=0'></div>\n",
            field.label
        );
    }
    let field = f.ask_unknown("question_4003");
    fields += &row(&field, "text", "aria-required=true");
    if !confirm {
        f.sets(Trap::Honeypot, "website_url_2");
        fields += "<div style='position:absolute;left:-9999px' aria-hidden=true><label>Website <input name=website_url_2 tabindex=-1 autocomplete=off></label></div>";
    }
    let send = submit(f);
    format!(
        "<style>.visually-hidden{{position:absolute;width:1px;height:1px;overflow:hidden;clip:rect(0,0,0,0)}}
         .requiredInput{{opacity:0;position:absolute;width:100%}}.select__input{{border:0;outline:0;width:90%}}</style><h1>Gardener</h1>
         <form id=application-form action='{action}' method=post novalidate>{fields}<button type=submit>{send}</button></form>
         <script>{REACT_SELECT}{UPLOAD}</script>"
    )
}

fn greenhouse(f: &mut Fixture) -> Way {
    let form = greenhouse_form(f, "/send", false);
    f.page("/apply", document("Job Application for Gardener at Roots", &form));
    f.takes("/send");
    f.takes("/upload");
    one_page("/apply")
}

fn greenhouse_embedded(f: &mut Fixture) -> Way {
    let form = greenhouse_form(f, "/send", true);
    f.other.put("/embed/job_app", Page::Html(document("Roots", &form)));
    f.other.put("/send", Page::Thanks(THANKS.into()));
    f.other.put("/upload", Page::Thanks("stored".into()));
    let frame = f.other.url("/embed/job_app");
    let about = "<p>Roots grows what others forgot.</p>".repeat(5);
    let html = format!(
        "<header><form role=search action=/find><input name=q placeholder='Search jobs'></form></header><h2>Work with us</h2>{about}
         <div id=grnhse_app><iframe id=grnhse_iframe width=100% height=1400 title='Greenhouse Job Board' src='{frame}?for=roots&token=4242'></iframe></div>
         <footer><form action=/news>Newsletter <input type=email name=email><button>Sign up</button></form></footer>"
    );
    f.page("/careers/gardener", document("Careers", &html));
    Way { start: "/careers/gardener?gh_jid=4242", takes: &["/send"], elsewhere: true }
}

/// Labels are plain boxes inside a label; the resume is read by the site, which then writes the name itself.
fn lever(f: &mut Fixture) -> Way {
    posting(f, "/job", "/job/apply");
    let mut items = String::new();
    let mut item = |label: &str, control: &str| {
        items.push_str(&format!(
            "<li class=application-question><label><div class=application-label>{label}<span class=required>\u{2731}</span></div>
             <div class=application-field>{control}</div></label></li>\n"
        ));
    };
    let resume = f.ask(Ask::Resume, "resume");
    item(
        resume.label,
        "<input type=file name=resume id=resume-upload-input required class=application-file-input tabindex=-1>",
    );
    for (ask, name, kind) in [
        (Ask::Full, "name", "text"),
        (Ask::Email, "email", "email"),
        (Ask::Phone, "phone", "tel"),
        (Ask::Linkedin, "urls[LinkedIn]", "text"),
    ] {
        let field = f.ask(ask, name);
        item(field.label, &format!("<input name='{name}' type={kind} required data-qa='{name}-input'>"));
    }
    let card = "cards[5f0c2a]";
    let authorized = f.ask_yes_no(Ask::Authorized, "cards[5f0c2a][field0]", ("Yes", "No"));
    let unknown = f.ask_unknown("cards[5f0c2a][field1]");
    f.sets(Trap::Card, "urls[Loyalty]");
    let send = submit(f);
    let html = format!(
        "<h2>Gardener</h2><form id=application-form action=/send method=post enctype=multipart/form-data><h4>Submit your application</h4><ul>{items}</ul>
         <ul><li class='application-question custom-question'><div class=application-label>{}<span class=required>\u{2731}</span></div>
         <ul data-qa=multiple-choice><li><label><input type=radio name='{card}[field0]' value=Yes><span>Yes</span></label></li>
         <li><label><input type=radio name='{card}[field0]' value=No><span>No</span></label></li></ul></li>
         <li class='application-question custom-question'><label><div class=application-label>{}<span class=required>\u{2731}</span></div>
         <div class=application-field><textarea name='{card}[field1]' required></textarea></div></label></li></ul>
         <ul><li><label><div class=application-label>Garden centre loyalty card</div><input type=tel name='urls[Loyalty]' placeholder='1234 5678'></label></li></ul>
         <button type=submit id=btn-submit>{send}</button></form><script>{PARSER}</script>",
        authorized.label, unknown.label
    );
    f.page("/job/apply", document("Roots - Gardener", &html));
    f.takes("/send");
    one_page("/job")
}

/// No form element, yes and no as buttons, sent by a script.
fn ashby(f: &mut Fixture) -> Way {
    let mut fields = String::new();
    let mut entry = |label: &str, name: &str, control: &str| {
        fields.push_str(&format!(
            "<div class=_fieldEntry data-field-path='{name}'><label class=_required for='{name}'>{label}</label>{control}</div>\n"
        ));
    };
    for (ask, name, kind) in [
        (Ask::Full, "_systemfield_name", "text"),
        (Ask::Email, "_systemfield_email", "email"),
        (Ask::Phone, "_systemfield_phone", "tel"),
    ] {
        let field = f.ask(ask, name);
        entry(
            field.label,
            name,
            &format!("<input id='{name}' name='{name}' type={kind} required placeholder='Type here...'>"),
        );
    }
    let resume = f.ask(Ask::Resume, "_systemfield_resume");
    entry(
        resume.label,
        "_systemfield_resume",
        "<div class=_file><button type=button onclick='_systemfield_resume.click()'>Upload File</button> or drag and drop here<input id=_systemfield_resume name=_systemfield_resume type=file style='display:none'></div>",
    );
    for (ask, name) in [(Ask::Authorized, "a1d5e0f2-77"), (Ask::Sponsorship, "c9e2b1a4-31")] {
        let field = f.ask_yes_no(ask, name, ("true", "false"));
        entry(
            field.label,
            name,
            &format!(
                "<div class=_yesno data-name='{name}'><button type=button class=_option>Yes</button><button type=button class=_option>No</button></div>"
            ),
        );
    }
    let unknown = f.ask_unknown("d7f1-answer");
    entry(unknown.label, "d7f1-answer", "<textarea id=d7f1-answer name=d7f1-answer required></textarea>");
    f.sets(Trap::Honeypot, "company_fax");
    fields += "<div style='height:0;overflow:hidden'><label for=company_fax>Leave this field empty</label><input id=company_fax name=company_fax></div>";
    let send = submit(f);
    let html = format!(
        "<h1>Gardener</h1><div role=tabpanel class=ashby-application-form-container>{fields}
         <button type=button class=ashby-application-form-submit-button onclick='send()'>{send}</button></div>
         <style>._option{{padding:8px}}._option._active{{background:#226}}</style><script>{SEND}{YES_NO_BUTTONS}</script>"
    );
    f.page("/roots/4a1/application", document("Gardener @ Roots", &html));
    f.takes("/send");
    one_page("/roots/4a1/application")
}

/// An account, then a wizard of a page a step that is drawn by scripts; lists open on a button.
fn workday(f: &mut Fixture) -> Way {
    posting(f, "/job/gardener_R1", "/job/gardener_R1/apply");
    let account = "<h2>Create Account</h2><form method=post action=/account><div><label for=e data-automation-id=email-label>Email Address*</label>
         <input id=e name=account_email type=text data-automation-id=email></div><div><label for=p>Password*</label>
         <input id=p name=password type=password data-automation-id=password></div><div><label for=v>Verify New Password*</label>
         <input id=v name=verify type=password data-automation-id=verifyPassword></div>
         <button data-automation-id=createAccountSubmitButton>Create Account</button></form><a href=/sign-in>Already have an account? Sign In</a>";
    f.page("/job/gardener_R1/apply", document("Create Account", account));
    let next = f.pick(&["Next", "Save and Continue", "Continue"]);
    let step = |number: u32, title: &str, action: &str, fields: &str, button: &str| {
        document(
            "Roots Careers",
            &format!(
                "<div data-automation-id=progressBar>current step {number} of 3</div><h2>{title}</h2>
                 <form method=post action='{action}'>{fields}<button type=button>Back</button>
                 <button data-automation-id=bottom-navigation-next-button>{button}</button></form><script>{PICKER}</script>"
            ),
        )
    };
    let mut mine = String::new();
    for (ask, name, id) in [
        (Ask::First, "first", "legalNameSection_firstName"),
        (Ask::Last, "last", "legalNameSection_lastName"),
        (Ask::City, "city", "addressSection_city"),
        (Ask::Phone, "phone", "phone-number"),
    ] {
        let field = f.ask(ask, name);
        mine += &format!(
            "<div data-automation-id='formField-{id}'><label for='input-{name}'>{}<abbr title=required>*</abbr></label>
             <input id='input-{name}' name='{name}' type=text data-automation-id='{id}' aria-required=true></div>",
            field.label
        );
    }
    f.sets(Trap::Honeypot, "middle_nickname");
    mine += "<div style='display:none'><label>Nickname <input name=middle_nickname></label></div>";
    let mut questions = String::new();
    for (ask, name) in [(Ask::Authorized, "q1"), (Ask::Sponsorship, "q2")] {
        let field = f.ask_yes_no(ask, name, ("Yes", "No"));
        questions += &format!(
            "<div data-automation-id='formField-{name}'><label id='l-{name}'>{}<abbr title=required>*</abbr></label>
             <button type=button aria-haspopup=listbox aria-labelledby='l-{name}' id='b-{name}' data-name='{name}' aria-required=true>Select One</button>
             <input type=hidden name='{name}'></div>",
            field.label
        );
    }
    let unknown = f.ask_unknown("q3");
    questions += &format!(
        "<div data-automation-id=formField-q3><label for=q3>{}<abbr title=required>*</abbr></label><textarea id=q3 name=q3 aria-required=true></textarea></div>",
        unknown.label
    );
    let send = submit(f);
    let review = step(
        3,
        "Review",
        "/send",
        "<dl><dt>First name</dt><dd>Ada</dd><dt>Email</dt><dd>ada@example.test</dd></dl>",
        send,
    );
    f.site.put("/account", Page::Thanks(step(1, "My Information", "/step2", &mine, next)));
    f.site.put("/step2", Page::Thanks(step(2, "Application Questions", "/step3", &questions, next)));
    f.site.put("/step3", Page::Thanks(review));
    f.takes("/send");
    Way { start: "/job/gardener_R1", takes: &["/account", "/step2", "/step3", "/send"], elsewhere: false }
}

/// Components with open shadow roots.
fn smartrecruiters(f: &mut Fixture) -> Way {
    let mut fields = String::new();
    for (ask, name, kind) in [
        (Ask::First, "firstName", "text"),
        (Ask::Last, "lastName", "text"),
        (Ask::Email, "email", "email"),
        (Ask::ConfirmEmail, "emailConfirmation", "email"),
        (Ask::Phone, "phoneNumber", "tel"),
        (Ask::City, "location", "text"),
    ] {
        let field = f.ask(ask, name);
        fields += &format!("<spl-input name='{name}' kind='{kind}' label='{}' required></spl-input>\n", field.label);
    }
    let resume = f.ask(Ask::Resume, "resume");
    fields += &format!("<spl-dropzone name=resume label='{}'></spl-dropzone>", resume.label);
    let unknown = f.ask_unknown("screening-1");
    fields += &format!("<spl-input name=screening-1 kind=text label='{}' required></spl-input>", unknown.label);
    let send = f.pick(&["Submit", "Send application", "Apply"]);
    let html = format!(
        "<h1>Gardener</h1><p>Step 1 of 1</p><oc-oneclick-form>{fields}</oc-oneclick-form>
         <button type=button id=footer-submit onclick='send()'>{send}</button><script>{SEND}{SHADOW}</script>"
    );
    f.page("/oneclick-ui/company/roots", document("Gardener", &html));
    f.takes("/send");
    one_page("/oneclick-ui/company/roots")
}

/// Controlled inputs, roles in place of radio buttons, nothing marked but by the script.
fn workable(f: &mut Fixture) -> Way {
    let mut fields = String::new();
    for (ask, name, kind) in [
        (Ask::First, "firstname", "text"),
        (Ask::Last, "lastname", "text"),
        (Ask::Email, "email", "email"),
        (Ask::Phone, "phone", "tel"),
    ] {
        let field = f.ask(ask, name);
        fields += &format!(
            "<div><label id='{name}_label' for='{name}'><span>*</span><span>{}</span></label><div><input id='{name}' name='{name}' data-ui='{name}' type={kind} data-controlled></div></div>",
            field.label
        );
    }
    let authorized = f.ask_yes_no(Ask::Authorized, "QA_11", ("true", "false"));
    fields += &format!(
        "<div><span id=QA_11_label><span>*</span> {}</span><fieldset role=radiogroup aria-labelledby=QA_11_label data-name=QA_11>
         <div role=radio aria-checked=false tabindex=0 data-value=true>Yes</div><div role=radio aria-checked=false tabindex=0 data-value=false>No</div></fieldset></div>",
        authorized.label
    );
    let unknown = f.ask_unknown("CA_22");
    fields += &format!(
        "<div><label for=CA_22><span>*</span> <span>{}</span></label><textarea id=CA_22 name=CA_22 data-controlled></textarea></div>",
        unknown.label
    );
    f.sets(Trap::Card, "summary_card");
    fields += "<div><label for=summary_card>Membership card number (Optional)</label><input type=tel id=summary_card name=summary_card></div>";
    let send = submit(f);
    let html = format!(
        "<h1>Gardener</h1><form data-ui=application-form onsubmit='send(); return false' novalidate>{fields}<button data-ui=apply-button>{send}</button></form>
         <script>{SEND}{CONTROLLED}</script>"
    );
    f.page("/j/0F3A/apply", document("Gardener - Roots", &html));
    f.takes("/send");
    one_page("/j/0F3A/apply")
}

/// Bracketed names, and a box to keep one's data that is ticked already.
fn recruitee(f: &mut Fixture) -> Way {
    posting(f, "/o/gardener", "/o/gardener/c/new");
    let mut fields = String::new();
    for (ask, name, kind) in [
        (Ask::Full, "candidate[name]", "text"),
        (Ask::Email, "candidate[email]", "email"),
        (Ask::Phone, "candidate[phone]", "tel"),
    ] {
        fields += &row(&f.ask(ask, name), kind, "required");
    }
    let resume = f.ask(Ask::Resume, "candidate[cv]");
    fields += &row(&resume, "file", "accept='.pdf,.docx'");
    let sponsorship =
        f.ask_yes_no(Ask::Sponsorship, "candidate[open_question_answers_attributes][0][flag]", ("true", "false"));
    fields += &radios(&sponsorship, &[("true", "Yes"), ("false", "No")]);
    let unknown = f.ask_unknown("candidate[open_question_answers_attributes][1][content]");
    fields += &row(&unknown, "text", "required");
    f.sets(Trap::Ticked, "candidate[talent_pool]");
    let words = f.pick(&[
        "Keep me informed about future opportunities",
        "Subscribe me to the newsletter",
        "Send me job alerts",
    ]);
    fields += &format!("<label><input type=checkbox name='candidate[talent_pool]' value=yes checked> {words}</label>");
    let send = submit(f);
    let html = format!(
        "<h1>Apply for Gardener</h1><form method=post action=/send enctype=multipart/form-data>{fields}<button>{send}</button></form>"
    );
    f.page("/o/gardener/c/new", document("Gardener", &html));
    f.takes("/send");
    one_page("/o/gardener")
}

/// All of it in a frame of the same origin, in two steps of tables.
fn icims(f: &mut Fixture) -> Way {
    let frame = |inner: &str| {
        document(
            "Careers",
            &format!(
                "<header><a href=/>Roots</a></header><iframe id=icims_content_iframe name=icims_content_iframe src='{inner}' width=900 height=900></iframe>"
            ),
        )
    };
    f.page("/jobs/77/gardener/job", frame("/jobs/77/job?in_iframe=1"));
    posting(f, "/jobs/77/job", "/jobs/77/candidate");
    let line = |field: &Field, control: &str| {
        format!(
            "<tr><td class=iCIMS_InfoLabel><label for='{0}'>{1} <span class=Field_Required>*</span></label></td><td>{control}</td></tr>",
            field.name, field.label
        )
    };
    let mut first = String::new();
    for (ask, name) in [
        (Ask::First, "PersonProfileFields.FirstName"),
        (Ask::Last, "PersonProfileFields.LastName"),
        (Ask::Email, "PersonProfileFields.Email"),
        (Ask::ConfirmEmail, "PersonProfileFields.Email2"),
    ] {
        let field = f.ask(ask, name);
        first += &line(&field, &format!("<input type=text id='{name}' name='{name}' i_required=true>"));
    }
    let next = f.pick(&["Next", "Continue", "Save and continue"]);
    let page = |action: &str, title: &str, rows: &str, button: &str| {
        document(
            title,
            &format!(
                "<h1>{title}</h1><form method=post action='{action}'><table>{rows}</table><input type=submit value='{button}'></form>"
            ),
        )
    };
    f.page("/jobs/77/candidate", page("/candidate", "Your profile", &first, next));
    let authorized = f.ask_yes_no(Ask::Authorized, "q101", ("9001", "9002"));
    let mut second = line(
        &authorized,
        "<select id=q101 name=q101><option value=''>\u{2014} Make a Selection \u{2014}</option><option value=9001>Yes</option><option value=9002>No</option></select>",
    );
    let unknown = f.ask_unknown("q102");
    second += &line(&unknown, "<textarea id=q102 name=q102></textarea>");
    let send = submit(f);
    f.site.put("/candidate", Page::Thanks(page("/send", "Candidate questions", &second, send)));
    f.takes("/send");
    Way { start: "/jobs/77/gardener/job", takes: &["/candidate", "/send"], elsewhere: false }
}

/// Old tables with labels that belong to nothing.
fn taleo(f: &mut Fixture) -> Way {
    let cell = |field: &Field, control: &str| {
        format!(
            "<tr><td align=right><font size=2><b>{}:</b></font> <font color=red>*</font></td><td>{control}</td></tr>",
            field.label
        )
    };
    let mut first = String::new();
    for (at, ask) in [Ask::Last, Ask::First, Ask::Email, Ask::Phone, Ask::City].into_iter().enumerate() {
        let name = format!("dp{at}_in");
        let field = f.ask(ask, &name);
        first += &cell(&field, &format!("<input name={name} size=30>"));
    }
    f.sets(Trap::Card, "dp9_in");
    first += "<tr><td align=right><font size=2>Store card no.:</font></td><td><input type=tel name=dp9_in></td></tr>";
    let next = f.pick(&["Save and Continue", "Next >", "Continue"]);
    let html = |action: &str, step: u32, rows: &str, button: &str| {
        document(
            "Careersection",
            &format!("<table width=100%><tr><td><b>Page {step} of 2</b></td></tr></table><form name=ftlform method=post action='{action}'><table>{rows}</table>
             <input type=button value='Save as Draft'> <input type=submit value='{button}'></form>"),
        )
    };
    f.page("/careersection/jobapply.ftl", html("/page2", 1, &first, next));
    let sponsorship = f.ask_yes_no(Ask::Sponsorship, "dp20", ("1", "2"));
    let mut second =
        cell(&sponsorship, "<input type=radio name=dp20 value=1> Yes <input type=radio name=dp20 value=2> No");
    let unknown = f.ask_unknown("dp21");
    second += &cell(&unknown, "<textarea name=dp21 rows=4 cols=40></textarea>");
    let send = submit(f);
    f.site.put("/page2", Page::Thanks(html("/send", 2, &second, send)));
    f.takes("/send");
    Way { start: "/careersection/jobapply.ftl", takes: &["/page2", "/send"], elsewhere: false }
}

/// A contact form's plugin, put to use for applications.
fn wordpress(f: &mut Fixture) -> Way {
    let mut fields = String::new();
    let mut item = |label: &str, control: &str| {
        fields.push_str(&format!("<p>{label}<br><span class='wpcf7-form-control-wrap'>{control}</span></p>"));
    };
    for (ask, name, kind) in
        [(Ask::Full, "your-name", "text"), (Ask::Email, "your-email", "email"), (Ask::Phone, "tel-619", "tel")]
    {
        let field = f.ask(ask, name);
        item(
            &format!("{} *", field.label),
            &format!(
                "<input type={kind} name='{name}' size=40 class='wpcf7-validates-as-required' aria-required=true>"
            ),
        );
    }
    let resume = f.ask(Ask::Resume, "file-cv");
    item(&format!("{} *", resume.label), "<input type=file name=file-cv accept='.pdf,.doc'>");
    let unknown = f.ask_unknown("your-message");
    item(&format!("{} *", unknown.label), "<textarea name=your-message cols=40 rows=6 aria-required=true></textarea>");
    f.sets(Trap::Honeypot, "_wpcf7_hp_url");
    item(
        "",
        "<input name=_wpcf7_hp_url style='opacity:0;position:absolute;height:1px;width:1px' tabindex=-1 autocomplete=off>",
    );
    let send = f.pick(&["Send", "Submit", "Send application"]);
    let html = format!(
        "<header><nav><a href=/>Home</a></nav></header><main><h1>Work with us: Gardener</h1><form class=wpcf7-form method=post action=/send enctype=multipart/form-data>{fields}
         <input type=submit value='{send}' class=wpcf7-submit></form></main><aside><form role=search><input type=search name=s placeholder=Search></form></aside>"
    );
    f.page("/jobs/gardener", document("Gardener | Roots", &html));
    f.takes("/send");
    one_page("/jobs/gardener")
}

/// Lists that open on a button, in place of selects.
fn bamboohr(f: &mut Fixture) -> Way {
    let mut fields = String::new();
    for (ask, name, kind) in [
        (Ask::First, "firstName", "text"),
        (Ask::Last, "lastName", "text"),
        (Ask::Email, "email", "text"),
        (Ask::Phone, "phone", "text"),
        (Ask::Start, "dateAvailable", "date"),
    ] {
        fields += &row(&f.ask(ask, name), kind, "class=fab-TextInput required");
    }
    for (ask, name) in [(Ask::Authorized, "customQuestions[11]"), (Ask::Sponsorship, "customQuestions[12]")] {
        let field = f.ask_yes_no(ask, name, ("Yes", "No"));
        let id = &name[16..18];
        fields += &format!(
            "<div class=fab-FormField><label id='fab{id}' for='t{id}'>{} *</label><button type=button id='t{id}' class=fab-SelectToggle aria-haspopup=listbox
             aria-labelledby='fab{id}' data-name='{name}'>\u{2013}Select\u{2013}</button><input type=hidden name='{name}'></div>",
            field.label
        );
    }
    let unknown = f.ask_unknown("customQuestions[13]");
    fields += &row(&unknown, "text", "required");
    f.sets(Trap::Honeypot, "websiteUrl");
    fields += "<div style='clip:rect(0 0 0 0);position:absolute'><label for=websiteUrl>Do not fill this in</label><input id=websiteUrl name=websiteUrl></div>";
    let send = submit(f);
    let html = format!(
        "<h2>Apply for this position</h2><form method=post action=/send>{fields}<button class=fab-Button type=submit>{send}</button></form><script>{PICKER}</script>"
    );
    f.page("/careers/31", document("Gardener", &html));
    f.takes("/send");
    one_page("/careers/31")
}

/// A select of states that is filled once the country is chosen, by the server.
fn jobvite(f: &mut Fixture) -> Way {
    let mut fields = String::new();
    for (ask, name, kind) in [
        (Ask::First, "jv-firstName", "text"),
        (Ask::Last, "jv-lastName", "text"),
        (Ask::Email, "jv-email", "email"),
        (Ask::ConfirmEmail, "jv-email-again", "email"),
        (Ask::City, "jv-city", "text"),
    ] {
        fields += &row(&f.ask(ask, name), kind, "ng-required=true required");
    }
    f.wants("jv-country", super::fixture::Wanted::Is("US".into()));
    f.wants("jv-state", super::fixture::Wanted::Is("CA".into()));
    fields += "<div><label for=jv-country>Country *</label><select id=jv-country name=jv-country required><option value=''>Select a country<option value=CA>Canada<option value=DE>Germany
        <option value=US>United States<option value=FR>France<option value=GB>United Kingdom</select></div>
        <div id=where-state hidden><label for=jv-state>State *</label><select id=jv-state name=jv-state></select></div>";
    let unknown = f.ask_unknown("jv-question-1");
    fields += &row(&unknown, "text", "required");
    let send = submit(f);
    let html = format!(
        "<h2>Gardener</h2><form name=jvform method=post action=/send>{fields}<button type=submit>{send}</button></form><script>{LATE}</script>"
    );
    f.page("/roots/job/oX1/apply", document("Roots Careers", &html));
    f.takes("/send");
    one_page("/roots/job/oX1/apply")
}

/// Nothing but placeholders.
fn breezy(f: &mut Fixture) -> Way {
    let mut fields = String::new();
    for (ask, name, kind) in [
        (Ask::Full, "cName", "text"),
        (Ask::Email, "cEmail", "email"),
        (Ask::Phone, "cPhoneNumber", "tel"),
        (Ask::Linkedin, "cLinkedin", "text"),
    ] {
        let field = f.ask(ask, name);
        fields +=
            &format!("<div class=row><input type={kind} name={name} placeholder='{}*' required></div>", field.label);
    }
    let authorized = f.ask_yes_no(Ask::Authorized, "section_1_question_0", ("Yes", "No"));
    fields += &format!(
        "<h3>{}<span>*</span></h3><div><select name=section_1_question_0 required><option value=''>Select...<option>Yes<option>No</select></div>",
        authorized.label
    );
    let unknown = f.ask_unknown("section_1_question_1");
    fields += &format!(
        "<h3>{}<span>*</span></h3><div><textarea name=section_1_question_1 required></textarea></div>",
        unknown.label
    );
    f.sets(Trap::Honeypot, "cFaxNumber");
    fields +=
        "<div class=row style='visibility:hidden;height:0'><input name=cFaxNumber placeholder='Fax number'></div>";
    let send = submit(f);
    let html = format!(
        "<h1>Gardener</h1><form method=post action=/send><h2>Personal Details</h2>{fields}<button type=submit class='button green'>{send}</button></form>"
    );
    f.page("/p/42-gardener/apply", document("Roots - Gardener", &html));
    f.takes("/send");
    one_page("/p/42-gardener/apply")
}

/// The form comes in a layer above the posting.
fn teamtailor(f: &mut Fixture) -> Way {
    let mut fields = String::new();
    for (ask, name, kind) in [
        (Ask::First, "candidate[first_name]", "text"),
        (Ask::Last, "candidate[last_name]", "text"),
        (Ask::Email, "candidate[email]", "email"),
        (Ask::Phone, "candidate[phone]", "tel"),
    ] {
        let field = f.ask(ask, name);
        fields += &format!(
            "<div class=floating><input type={kind} id='{0}' name='{0}' placeholder=' ' required><label for='{0}'>{1} *</label></div>",
            field.name, field.label
        );
    }
    let sponsorship = f.ask_yes_no(Ask::Sponsorship, "candidate[job_applications][answers][1]", ("true", "false"));
    fields += &radios(&sponsorship, &[("true", "Yes"), ("false", "No")]);
    let unknown = f.ask_unknown("candidate[job_applications][answers][0]");
    fields += &row(&unknown, "text", "required");
    f.sets(Trap::Ticked, "candidate[marketing]");
    fields += "<label><input type=checkbox name='candidate[marketing]' value=1 checked> Yes, Roots can contact me about job alerts and marketing</label>";
    let send = submit(f);
    let html = format!(
        "<main><h1>Gardener</h1><p>{}</p><button type=button id=open>Apply for this job</button></main>
         <dialog id=layer><h2>Application form</h2><form method=post action=/send>{fields}<button>{send}</button></form></dialog><script>{MODAL}</script>",
        "You look after the walled garden. ".repeat(20)
    );
    f.page("/jobs/9-gardener", document("Gardener - Roots", &html));
    f.takes("/send");
    one_page("/jobs/9-gardener")
}

/// German; the file's field is not shown at all.
fn personio(f: &mut Fixture) -> Way {
    f.speaks(Language::German);
    let mut fields = String::new();
    for (ask, name, kind) in [
        (Ask::First, "first_name", "text"),
        (Ask::Last, "last_name", "text"),
        (Ask::Email, "email", "email"),
        (Ask::ConfirmEmail, "email_wdh", "email"),
        (Ask::Phone, "phone", "tel"),
        (Ask::City, "location", "text"),
    ] {
        fields += &row(&f.ask(ask, name), kind, "required");
    }
    let resume = f.ask(Ask::Resume, "cv");
    fields += &format!(
        "<div class=upload><p>{} *</p><label for=cv-file class=button>Datei auswählen</label><input id=cv-file type=file name=cv style='display:none'></div>",
        resume.label
    );
    let unknown = f.ask_unknown("custom_attribute_77");
    fields += &row(&unknown, "text", "required");
    let send = f.pick(&["Bewerbung absenden", "Jetzt bewerben", "Bewerbung abschicken"]);
    let html = format!(
        "<h1>Gärtner (m/w/d)</h1><form method=post action=/send enctype=multipart/form-data>{fields}<button type=submit>{send}</button></form>"
    );
    f.page("/job/77", document("Gärtner", &html).replace("lang=en", "lang=de"));
    f.site.put("/send", Page::Thanks("<title>Danke</title><h1>Vielen Dank für Ihre Bewerbung</h1>".into()));
    one_page("/job/77")
}

/// After it was sent, a code from an e-mail into six boxes.
fn successfactors(f: &mut Fixture) -> Way {
    let mut fields = String::new();
    for (at, (ask, kind)) in
        [(Ask::First, "text"), (Ask::Last, "text"), (Ask::Email, "text"), (Ask::Phone, "tel")].into_iter().enumerate()
    {
        let name = format!("fbclc_{at}");
        let field = f.ask(ask, &name);
        fields += &format!(
            "<tr><td><span class=req>*</span><label for='{name}:'>{}:</label></td><td><input id='{name}:' name={name} type={kind}></td></tr>",
            field.label
        );
    }
    let authorized = f.ask_yes_no(Ask::Authorized, "fbclc_9", ("Y", "N"));
    fields += &format!(
        "<tr><td><label for=fbclc_9>{} *</label></td><td><select id=fbclc_9 name=fbclc_9><option value=''>No Selection<option value=Y>Yes<option value=N>No</select></td></tr>",
        authorized.label
    );
    let unknown = f.ask_unknown("fbclc_10");
    fields += &format!(
        "<tr><td><label for=fbclc_10>{} *</label></td><td><textarea id=fbclc_10 name=fbclc_10></textarea></td></tr>",
        unknown.label
    );
    f.sets(Trap::Card, "fbclc_card");
    fields += "<tr><td><label for=fbclc_card>Employee card number (staff only):</label></td><td><input type=tel id=fbclc_card name=fbclc_card></td></tr>";
    let send = submit(f);
    let html = format!(
        "<h1>Gardener</h1><form method=post action=/first><table>{fields}</table><button>{send}</button></form>"
    );
    f.page("/career", document("Career Opportunities", &html));
    let boxes = "<input maxlength=1 size=1 inputmode=numeric>".repeat(CODE.len());
    let code = format!(
        "<h1>Confirm your e-mail</h1><p>Enter the 6-digit code we sent to your e-mail address.</p><form method=post action=/send><div id=boxes>{boxes}</div>
         <input type=hidden name=code><button>Verify</button></form><script>boxes.addEventListener('input', (e) => {{
         document.querySelector('[name=code]').value = Array.from(boxes.children).map((b) => b.value).join(''); if (e.target.value && e.target.nextElementSibling) e.target.nextElementSibling.focus(); }});</script>"
    );
    f.site.put("/first", Page::Thanks(document("Verify", &code)));
    f.wants("code", super::fixture::Wanted::Is(CODE.into()));
    f.takes("/send");
    Way { start: "/career", takes: &["/first", "/send"], elsewhere: false }
}

/// Field sets, ids and names that say nothing, dates as text.
fn jazzhr(f: &mut Fixture) -> Way {
    let mut fields = String::new();
    for (at, (ask, kind)) in
        [(Ask::First, "text"), (Ask::Last, "text"), (Ask::Email, "text"), (Ask::Phone, "text"), (Ask::City, "text")]
            .into_iter()
            .enumerate()
    {
        let name = format!("resumator-{at}-value");
        let field = f.ask(ask, &name);
        fields += &format!(
            "<div class=resumator-fieldset><div class=resumator-label><strong>{}</strong> <em>*</em></div><div><input type={kind} id={name} name={name}></div></div>",
            field.label
        );
    }
    let resume = f.ask(Ask::Resume, "resumator-resume-value");
    fields += &format!(
        "<fieldset><legend>{}</legend><div id=links><a href='#' onclick='return false'>Attach resume</a> or <a href='#' onclick='pasted.hidden = false; return false'>Paste resume</a></div>
         <input type=file name=resumator-resume-value><textarea id=pasted name=resumator-resumetext-value hidden placeholder='Paste your resume'></textarea></fieldset>",
        resume.label
    );
    let authorized = f.ask_yes_no(Ask::Authorized, "resumator-questionnaire[1]", ("y", "n"));
    fields += &radios(&authorized, &[("y", "Yes"), ("n", "No")]);
    let unknown = f.ask_unknown("resumator-questionnaire[2]");
    fields += &format!(
        "<div class=resumator-fieldset><div class=resumator-label><strong>{}</strong> <em>*</em></div><div><textarea name='resumator-questionnaire[2]'></textarea></div></div>",
        unknown.label
    );
    f.sets(Trap::Honeypot, "resumator-hp");
    fields += "<div style='display:none'><label>Please leave this blank <input name=resumator-hp></label></div>";
    let send = submit(f);
    let html = format!(
        "<h1>Gardener</h1><form method=post action=/send enctype=multipart/form-data id=resumator-application-form>{fields}<input type=submit value='{send}'></form>"
    );
    f.page("/apply/qX9", document("Gardener", &html));
    f.takes("/send");
    one_page("/apply/qX9")
}

/// The address first, then all in one page that scripts draw step by step.
fn oracle(f: &mut Fixture) -> Way {
    let email = f.ask(Ask::Email, "primary-email");
    let first = f.ask(Ask::First, "firstName-7");
    let last = f.ask(Ask::Last, "lastName-8");
    let phone = f.ask(Ask::Phone, "phoneNumber-9");
    let sponsorship = f.ask_yes_no(Ask::Sponsorship, "300000012", ("Y", "N"));
    let unknown = f.ask_unknown("300000013");
    f.sets(Trap::Card, "referral-card");
    let next = f.pick(&["Next", "Continue"]);
    let send = f.pick(&["Submit", "Submit application"]);
    let second =
        [row(&last, "text", "required"), row(&first, "text", "required"), row(&phone, "tel", "required")].concat();
    let third = format!(
        "{}{}<label>Referral card number <input type=tel name=referral-card></label>",
        radios(&sponsorship, &[("Y", "Yes"), ("N", "No")]),
        row(&unknown, "text", "required")
    );
    let html = format!(
        "<div class=apply-flow><section><h2>Where can we reach you?</h2>{}<button type=button class=go>{next}</button></section>
         <section hidden><h2>Personal information</h2><p>2 / 3</p>{second}<button type=button class=go>{next}</button></section>
         <section hidden><h2>Job application questions</h2><p>3 / 3</p>{third}<button type=button onclick='send()'>{send}</button></section></div>
         <script>{SEND}document.addEventListener('click', (e) => {{ if (!e.target.matches('.go')) return; const here = e.target.closest('section');
         if (Array.from(here.querySelectorAll('[required]')).some((c) => !c.value)) return;
         setTimeout(() => {{ here.hidden = true; here.nextElementSibling.hidden = false; }}, 150); }});</script>",
        row(&email, "email", "required autocomplete=email")
    );
    f.page("/hcmUI/job/7/apply/email", document("Candidate Experience", &html));
    f.takes("/send");
    one_page("/hcmUI/job/7/apply/email")
}

/// The server sends the form back once, with a message about a value that was fine.
fn pinpoint(f: &mut Fixture) -> Way {
    let mut fields = String::new();
    for (ask, name, kind) in [
        (Ask::First, "application[first_name]", "text"),
        (Ask::Last, "application[last_name]", "text"),
        (Ask::Email, "application[email]", "email"),
        (Ask::Phone, "application[phone]", "tel"),
    ] {
        fields += &row(&f.ask(ask, name), kind, "class=input");
    }
    let unknown = f.ask_unknown("application[answers][0][text]");
    fields += &row(&unknown, "text", "required");
    f.sets(Trap::Honeypot, "application[honey_url]");
    fields += "<div style='position:absolute;top:-5000px'><input name='application[honey_url]' tabindex=-1 aria-label='Leave blank'></div>";
    let send = submit(f);
    let form = |message: &str| {
        document(
            "Gardener",
            &format!("<h1>Gardener</h1>{message}<form method=post action=/send>{fields}<button>{send}</button></form>"),
        )
    };
    f.page("/postings/1/applications/new", form(""));
    f.site.put(
        "/send",
        Page::Demands(
            vec!["application[first_name]", "application[last_name]", "application[email]", "application[phone]"],
            form("<div role=alert>Please fill in every field</div>"),
            THANKS.into(),
        ),
    );
    one_page("/postings/1/applications/new")
}

fn freshteam(f: &mut Fixture) -> Way {
    f.speaks(Language::French);
    let mut fields = String::new();
    for (ask, name, kind) in [
        (Ask::First, "lead_first", "text"),
        (Ask::Last, "lead_family", "text"),
        (Ask::Email, "lead_courriel", "email"),
        (Ask::ConfirmEmail, "lead_courriel2", "email"),
        (Ask::Phone, "lead_tel", "tel"),
        (Ask::City, "lead_ville", "text"),
    ] {
        fields += &row(&f.ask(ask, name), kind, "required");
    }
    let resume = f.ask(Ask::Resume, "lead_cv");
    fields += &row(&resume, "file", "required");
    let unknown = f.ask_unknown("lead_q1");
    fields += &row(&unknown, "text", "required");
    let send = f.pick(&["Envoyer ma candidature", "Envoyer", "Postuler"]);
    let html = format!(
        "<h1>Jardinier</h1><form method=post action=/send enctype=multipart/form-data>{fields}<button>{send}</button></form>"
    );
    f.page("/jobs/jardinier", document("Jardinier", &html).replace("lang=en", "lang=fr"));
    f.site.put("/send", Page::Thanks("<title>Merci</title><h1>Merci pour votre candidature</h1>".into()));
    one_page("/jobs/jardinier")
}

fn comeet(f: &mut Fixture) -> Way {
    f.speaks(Language::Spanish);
    let mut fields = String::new();
    for (ask, name, kind) in [
        (Ask::First, "campo_1", "text"),
        (Ask::Last, "campo_2", "text"),
        (Ask::Email, "campo_3", "email"),
        (Ask::Phone, "campo_4", "tel"),
        (Ask::City, "campo_5", "text"),
    ] {
        fields += &row(&f.ask(ask, name), kind, "required");
    }
    let unknown = f.ask_unknown("campo_6");
    fields += &row(&unknown, "text", "required");
    f.sets(Trap::Honeypot, "campo_9");
    fields += "<div style='display:none'><label>Fax <input name=campo_9></label></div>";
    let send = f.pick(&["Enviar solicitud", "Enviar candidatura", "Enviar"]);
    let html = format!("<h1>Jardinero</h1><form method=post action=/send>{fields}<button>{send}</button></form>");
    f.page("/empleos/jardinero", document("Jardinero", &html).replace("lang=en", "lang=es"));
    f.site.put("/send", Page::Thanks("<title>Gracias</title><h1>Gracias por tu solicitud</h1>".into()));
    one_page("/empleos/jardinero")
}

/// Names of a form's builder, a list of codes before the phone number.
fn zoho(f: &mut Fixture) -> Way {
    let mut rows = String::new();
    let mut line = |label: &str, control: &str| {
        rows.push_str(&format!(
            "<li><div class=tempHeadBdr>{label} <em>*</em></div><div class=tempContDiv>{control}</div></li>"
        ));
    };
    let (first, last) = (f.ask(Ask::First, "Name_First"), f.ask(Ask::Last, "Name_Last"));
    line(first.label, "<input name=Name_First type=text maxlength=255>");
    line(last.label, "<input name=Name_Last type=text maxlength=255>");
    let email = f.ask(Ask::Email, "Email");
    line(email.label, "<input name=Email type=text maxlength=255>");
    let phone = f.ask(Ask::Phone, "PhoneNumber");
    line(phone.label, "<select name=PhoneNumber_countrycode><option value=''>Code<option value=49>Germany (+49)<option value=1>United States (+1)<option value=33>France (+33)<option value=44>United Kingdom (+44)</select>
        <input name=PhoneNumber type=text maxlength=20>");
    f.wants("PhoneNumber_countrycode", super::fixture::Wanted::Is("1".into()));
    let authorized = f.ask_yes_no(Ask::Authorized, "Radio", ("Yes", "No"));
    line(
        authorized.label,
        "<span><input type=radio id=Radio_1 name=Radio value=Yes><label for=Radio_1>Yes</label></span><span><input type=radio id=Radio_2 name=Radio value=No><label for=Radio_2>No</label></span>",
    );
    let unknown = f.ask_unknown("MultiLine");
    line(unknown.label, "<textarea name=MultiLine></textarea>");
    f.sets(Trap::Ticked, "DecisionBox");
    let news = f.pick(&["Send me the newsletter", "Keep me informed about other openings"]);
    let send = submit(f);
    let html = format!(
        "<h2>Employment application</h2><form action=/send name=form method=post><ul>{rows}</ul>
         <div><input type=checkbox id=news name=DecisionBox value=on checked><label for=news>{news}</label></div><button type=submit><em>{send}</em></button></form>"
    );
    f.page("/form/Application", document("Employment application", &html));
    f.takes("/send");
    one_page("/form/Application")
}

/// Further questions follow an answer; what is missing is said by the script beside the fields alone.
fn paylocity(f: &mut Fixture) -> Way {
    let mut fields = String::new();
    for (ask, name, kind) in [
        (Ask::First, "info.firstName", "text"),
        (Ask::Last, "info.lastName", "text"),
        (Ask::Email, "info.email", "text"),
        (Ask::Phone, "info.cellPhone", "tel"),
    ] {
        fields += &row(&f.ask(ask, name), kind, "data-must");
    }
    let authorized = f.ask_yes_no(Ask::Authorized, "auth", ("yes", "no"));
    fields += &radios(&authorized, &[("yes", "Yes"), ("no", "No")]);
    let sponsorship = f.ask_yes_no(Ask::Sponsorship, "sponsor", ("yes", "no"));
    let unknown = f.ask_unknown("late-1");
    let late =
        format!("{}{}", radios(&sponsorship, &[("yes", "Yes"), ("no", "No")]), row(&unknown, "text", "data-must"));
    f.sets(Trap::Card, "info.card");
    fields +=
        "<div class=field><label for=infocard>Rewards card</label><input type=tel id=infocard name=info.card></div>";
    let send = submit(f);
    let html = format!(
        "<h1>Gardener</h1><form method=post action=/send novalidate>{fields}<div id=late></div><template id=more>{late}</template><button>{send}</button></form>
         <script>document.addEventListener('change', (e) => {{ if (e.target.name === 'auth' && !late.children.length) setTimeout(() => late.append(more.content.cloneNode(true)), 250); }});
         document.querySelector('form').addEventListener('submit', (e) => {{ for (const c of document.querySelectorAll('[data-must]')) {{ let m = c.parentElement.querySelector('.err');
         if (!c.value) {{ e.preventDefault(); if (!m) {{ m = document.createElement('span'); m.className = 'err field-error'; m.textContent = 'This field is required'; c.parentElement.append(m); }} c.setAttribute('aria-invalid', 'true'); }}
         else {{ c.removeAttribute('aria-invalid'); if (m) m.remove(); }} }} }});</script>"
    );
    f.page("/Recruiting/Jobs/Apply/5", document("Gardener", &html));
    f.takes("/send");
    one_page("/Recruiting/Jobs/Apply/5")
}

/// Nothing but roles.
fn aria(f: &mut Fixture) -> Way {
    let mut fields = String::new();
    for (ask, name) in [(Ask::First, "a1"), (Ask::Last, "a2"), (Ask::Email, "a3"), (Ask::Phone, "a4")] {
        let field = f.ask(ask, name);
        fields += &format!(
            "<div><span id='l{name}'>{} *</span><div role=textbox contenteditable=true aria-required=true aria-labelledby='l{name}' data-name='{name}' style='border:1px solid;min-height:20px'></div></div>",
            field.label
        );
    }
    let sponsorship = f.ask_yes_no(Ask::Sponsorship, "a5", ("yes", "no"));
    fields += &format!(
        "<div role=radiogroup aria-label='{}' aria-required=true data-name=a5><span role=radio aria-checked=false tabindex=0 data-value=yes>Yes</span> <span role=radio aria-checked=false tabindex=-1 data-value=no>No</span></div>",
        sponsorship.label
    );
    let unknown = f.ask_unknown("a6");
    fields += &format!(
        "<div><span id=la6>{} *</span><div role=textbox contenteditable=true aria-required=true aria-labelledby=la6 data-name=a6 style='border:1px solid;min-height:20px'></div></div>",
        unknown.label
    );
    f.sets(Trap::Card, "a7");
    fields += "<div><label>Library card number <input type=tel name=a7></label></div>";
    let send = submit(f);
    let html = format!(
        "<h1>Gardener</h1><div role=form aria-label='Job application'>{fields}<div role=button tabindex=0 onclick='send()'>{send}</div></div><script>{SEND}{CONTROLLED}</script>"
    );
    f.page("/forms/d/e/1/viewform", document("Gardener", &html));
    f.takes("/send");
    one_page("/forms/d/e/1/viewform")
}

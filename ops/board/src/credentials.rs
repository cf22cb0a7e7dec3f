//! Who may sign in at a form that asks for it. Drawn from the seed; only the oracle tells.

use serde::Serialize;

use crate::draw::Draw;
use crate::model::twist::Twist;
use crate::model::{FormKind, FormModel};

/// Keeps the draws of credentials apart from those of forms.
const STREAM: u32 = 0x2000_0000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

impl Credentials {
    /// Those of the form `login` with this seed.
    pub fn of(seed: u32) -> Self {
        let model = FormModel::draw(FormKind::Login, seed);
        let mut draw = Draw::new(STREAM, seed);
        let name = format!(
            "{}.{}{}",
            draw.pick(&["zoe", "alex", "kim", "robin", "sam"]),
            draw.pick(&["larkin", "osmond", "tarn", "quay", "brindle"]),
            draw.number(10..99)
        );
        let by_email = matches!(&model.twist, Twist::Login(sign_in) if sign_in.by_email);
        let user = if by_email { format!("{name}@example.com") } else { name };
        // Characters that have to travel safely through forms.
        let sign = draw.pick(&["&", "+", "%", "\"", "é"]);
        let password = format!("{}{sign}{}", draw.token(6), draw.token(5));
        Self { user, password }
    }

    pub fn admit(&self, user: &str, password: &str) -> bool {
        // Addresses and names are not told apart by their case; passwords are taken as they are.
        user.trim().eq_ignore_ascii_case(&self.user) && password == self.password
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_of_the_right_user_is_admitted() {
        let right = Credentials::of(4);
        assert!(right.admit(&format!(" {} ", right.user.to_uppercase()), &right.password));
        assert!(!right.admit(&right.user, &right.password.to_uppercase()));
        assert!(!right.admit(&Credentials::of(5).user, &right.password));
        assert!(!right.admit("", ""));
    }
}

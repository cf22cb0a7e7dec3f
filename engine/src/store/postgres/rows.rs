//! Rows as parameters: an array of a row type costs the server one value to set up, where an array per column costs as many.

/// A struct that is sent as a row of the type of this name (migrations), with its columns in the type's order.
macro_rules! sent_as {
    ($name:ident = $type:literal { $($column:ident: $kind:ty),+ $(,)? }) => {
        struct $name {
            $($column: $kind,)+
        }

        impl sqlx::Type<sqlx::Postgres> for $name {
            fn type_info() -> sqlx::postgres::PgTypeInfo {
                sqlx::postgres::PgTypeInfo::with_name($type)
            }
        }

        impl sqlx::postgres::PgHasArrayType for $name {
            fn array_type_info() -> sqlx::postgres::PgTypeInfo {
                sqlx::postgres::PgTypeInfo::array_of($type)
            }
        }

        impl sqlx::Encode<'_, sqlx::Postgres> for $name {
            fn encode_by_ref(
                &self,
                buffer: &mut sqlx::postgres::PgArgumentBuffer,
            ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
                let mut row = sqlx::postgres::types::PgRecordEncoder::new(buffer);
                $(row.encode(&self.$column)?;)+
                row.finish();
                Ok(sqlx::encode::IsNull::No)
            }
        }

        #[cfg(test)]
        impl $name {
            const COLUMNS: (&str, &[&str]) = ($type, &[$(stringify!($column)),+]);
        }
    };
}

pub(super) use sent_as;

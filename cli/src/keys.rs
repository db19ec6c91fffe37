//! Primary keys, from words.

use anyhow::Result;
use isx_row::schema::Table;
use isx_row::{Field, Value, key};

/// The columns of a primary key.
pub fn key_fields(table: &Table) -> Vec<Field> {
    let columns = table.primary_key.iter().filter_map(|column| table.columns.get(usize::from(*column)));
    columns.map(|column| Field { name: column.name.clone(), ty: column.ty.clone() }).collect()
}

/// The memcomparable key of the values of a primary key.
///
/// # Errors
/// Of a key that is too long.
pub fn key_of(fields: &[Field], values: &[Value]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for (field, value) in fields.iter().zip(values) {
        key::append_value(&field.ty, value, &mut bytes)?;
    }
    Ok(bytes)
}

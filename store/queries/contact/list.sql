-- A page of the contacts of an account ($1), oldest first. Every filter that is null lets all pass.
SELECT c.contact_id, c.account_id, c.phone,
       c.fields AS "fields: Json<Fields>",
       c.time_zone, c.opted_out_at, c.created_at, c.updated_at
FROM contacts c
WHERE c.account_id = $1
  AND ($2::TEXT IS NULL OR strpos(c.phone, $2) > 0)
  AND ($3::JSONB IS NULL OR c.fields @> $3)
  AND ($4::TEXT IS NULL OR c.time_zone = $4)
  AND ($5::BIGINT IS NULL OR EXISTS (
      SELECT 1 FROM enrollments e
      WHERE e.contact_id = c.contact_id AND e.workflow_id = $5 AND e.exit_cause IS NULL))
  AND ($6::BOOLEAN IS NULL OR $6 = EXISTS (
      SELECT 1 FROM enrollments e
      WHERE e.contact_id = c.contact_id AND e.exit_cause IS NULL))
  AND ($7::BOOLEAN IS NULL OR $7 = (c.opted_out_at IS NOT NULL))
  AND ($8::BIGINT IS NULL OR c.contact_id > $8)
ORDER BY c.contact_id
LIMIT $9

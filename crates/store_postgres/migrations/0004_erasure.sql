-- Erasure finds the memberships of a person.
CREATE INDEX memberships_person ON memberships (principal_id, number) WHERE principal_kind = 0 AND ended_at IS NULL;

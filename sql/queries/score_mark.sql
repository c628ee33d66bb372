-- score_mark: remember how far corrections have been followed.
--
-- Parameters  interval text, as_of timestamptz
-- Read by     candlecast.store.score_revisions
--
-- The mark may go back: a run as of an earlier moment scored with what was known then.

INSERT INTO candlecast.score_marks (interval, revised_until)
VALUES (:interval, :as_of)
ON CONFLICT (interval) DO UPDATE
SET revised_until = excluded.revised_until;

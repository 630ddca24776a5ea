-- An event is a record of the log that lives as long as its row of the feed: as a blob. What arrivals tell follows from
-- them and has none.
ALTER TABLE change ADD COLUMN blob INTEGER;

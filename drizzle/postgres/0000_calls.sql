CREATE TABLE "adoption_prefixes" (
	"prefix" text COLLATE "C" PRIMARY KEY NOT NULL,
	"organization_id" text COLLATE "C" NOT NULL,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "api_keys" (
	"id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"organization_id" text COLLATE "C" NOT NULL,
	"name" text COLLATE "C" NOT NULL,
	"hash" text COLLATE "C" NOT NULL,
	"scopes" json NOT NULL,
	"created_at" bigint NOT NULL,
	"expires_at" bigint,
	"revoked_at" bigint,
	"last_used_at" bigint,
	CONSTRAINT "api_keys_hash_unique" UNIQUE("hash"),
	CONSTRAINT "api_keys_hash_is_sha256" CHECK (length("api_keys"."hash") = 64),
	CONSTRAINT "api_keys_scopes_are_a_list" CHECK (json_typeof("api_keys"."scopes") = 'array')
);
--> statement-breakpoint
CREATE TABLE "audit_log" (
	"id" bigint PRIMARY KEY NOT NULL,
	"at" bigint NOT NULL,
	"organization_id" text COLLATE "C" NOT NULL,
	"action" text COLLATE "C" NOT NULL,
	"actor" text COLLATE "C" NOT NULL,
	"actor_id" text COLLATE "C",
	"subject_id" text COLLATE "C" NOT NULL,
	"from_status" text COLLATE "C",
	"to_status" text COLLATE "C",
	"reason" text COLLATE "C",
	"cancellation_id" text COLLATE "C",
	"details" json,
	CONSTRAINT "audit_log_actor" CHECK ("audit_log"."actor" IN ('api_key', 'operator', 'livekit', 'reconciler')),
	CONSTRAINT "audit_log_details_are_an_object" CHECK ("audit_log"."details" IS NULL OR json_typeof("audit_log"."details") = 'object')
);
--> statement-breakpoint
CREATE TABLE "audit_position" (
	"id" smallint PRIMARY KEY DEFAULT 1 NOT NULL,
	"last" bigint DEFAULT 0 NOT NULL,
	CONSTRAINT "audit_position_has_one_row" CHECK ("audit_position"."id" = 1)
);
--> statement-breakpoint
CREATE TABLE "calls" (
	"id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"organization_id" text COLLATE "C" NOT NULL,
	"status" text COLLATE "C" NOT NULL,
	"direction" text COLLATE "C" NOT NULL,
	"phone_number" text COLLATE "C",
	"agent_id" text COLLATE "C",
	"agent_name" text COLLATE "C",
	"contact_name" text COLLATE "C",
	"contact_phone" text COLLATE "C",
	"contact_email" text COLLATE "C",
	"room_name" text COLLATE "C" NOT NULL,
	"room_id" text COLLATE "C",
	"roster" json,
	"review_at" bigint,
	"has_unanswered_phone" smallint DEFAULT 0 NOT NULL,
	"adopted_prefix" text COLLATE "C",
	"job_id" text COLLATE "C",
	"sip_participant_id" text COLLATE "C",
	"metadata" json NOT NULL,
	"failure_reason" text COLLATE "C",
	"cancelled_by" text COLLATE "C",
	"cancel_reason" text COLLATE "C",
	"cancellation_id" text COLLATE "C",
	"scheduled_at" bigint,
	"scheduled_order" bigint GENERATED ALWAYS AS (coalesce(scheduled_at, 0)) STORED,
	"started_at" bigint,
	"answered_at" bigint,
	"ended_at" bigint,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL,
	CONSTRAINT "calls_id_length" CHECK (length("calls"."id") BETWEEN 1 AND 128),
	CONSTRAINT "calls_status" CHECK ("calls"."status" IN ('initiated', 'connecting', 'ringing', 'active', 'completed', 'failed', 'cancelled', 'no_answer', 'busy')),
	CONSTRAINT "calls_direction" CHECK ("calls"."direction" IN ('inbound', 'outbound')),
	CONSTRAINT "calls_room_name_bytes" CHECK (octet_length("calls"."room_name") BETWEEN 1 AND 256),
	CONSTRAINT "calls_metadata_is_an_object" CHECK (json_typeof("calls"."metadata") = 'object'),
	CONSTRAINT "calls_ended_at_is_set_exactly_when_ended" CHECK (("calls"."ended_at" IS NOT NULL) = ("calls"."status" IN ('completed', 'failed', 'cancelled', 'no_answer', 'busy'))),
	CONSTRAINT "calls_end_is_not_before_start" CHECK ("calls"."ended_at" IS NULL OR "calls"."ended_at" >= "calls"."created_at"),
	CONSTRAINT "calls_only_a_cancelled_call_has_a_canceller" CHECK ("calls"."status" = 'cancelled' OR ("calls"."cancelled_by" IS NULL AND "calls"."cancel_reason" IS NULL))
);
--> statement-breakpoint
CREATE TABLE "cancellations" (
	"id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"organization_id" text COLLATE "C" NOT NULL,
	"state" text COLLATE "C" NOT NULL,
	"reason" text COLLATE "C" NOT NULL,
	"created_by" text COLLATE "C" NOT NULL,
	"created_at" bigint NOT NULL,
	"completed_at" bigint,
	"selector" json NOT NULL,
	"hold_state" text COLLATE "C",
	"hold_lifted_at" bigint,
	"hold_lifted_by" text COLLATE "C",
	"phase" integer DEFAULT 0 NOT NULL,
	"position" integer DEFAULT 0 NOT NULL,
	"already_ended" integer DEFAULT 0 NOT NULL,
	"not_found" integer DEFAULT 0 NOT NULL,
	"reported_counts" json NOT NULL,
	"reported_at" bigint NOT NULL,
	CONSTRAINT "cancellations_state" CHECK ("cancellations"."state" IN ('running', 'completed')),
	CONSTRAINT "cancellations_completed_at_is_set_exactly_when_completed" CHECK (("cancellations"."completed_at" IS NOT NULL) = ("cancellations"."state" = 'completed')),
	CONSTRAINT "cancellations_hold_state" CHECK ("cancellations"."hold_state" IS NULL OR "cancellations"."hold_state" IN ('active', 'lifted')),
	CONSTRAINT "cancellations_hold_is_lifted_at_a_time" CHECK (("cancellations"."hold_lifted_at" IS NOT NULL) = ("cancellations"."hold_state" IS NOT NULL AND "cancellations"."hold_state" = 'lifted')),
	CONSTRAINT "cancellations_selector_is_an_object" CHECK (json_typeof("cancellations"."selector") = 'object')
);
--> statement-breakpoint
CREATE TABLE "idempotency_keys" (
	"organization_id" text COLLATE "C" NOT NULL,
	"key" text COLLATE "C" NOT NULL,
	"fingerprint" text COLLATE "C" NOT NULL,
	"created_at" bigint NOT NULL,
	"outcome" text COLLATE "C" DEFAULT '{}' NOT NULL,
	CONSTRAINT "idempotency_keys_organization_id_key_pk" PRIMARY KEY("organization_id","key")
);
--> statement-breakpoint
CREATE TABLE "livekit_events" (
	"id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"received_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "livekit_servers" (
	"url" text COLLATE "C" PRIMARY KEY NOT NULL,
	"first_served_at" bigint NOT NULL,
	"last_served_at" bigint DEFAULT 0 NOT NULL
);
--> statement-breakpoint
CREATE TABLE "organizations" (
	"id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"name" text COLLATE "C" NOT NULL,
	"created_at" bigint NOT NULL,
	CONSTRAINT "organizations_name_unique" UNIQUE("name")
);
--> statement-breakpoint
CREATE TABLE "room_deletions" (
	"call_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"room_name" text COLLATE "C" NOT NULL,
	"state" text COLLATE "C" NOT NULL,
	"attempt" integer NOT NULL,
	"scheduled_at" bigint NOT NULL,
	"attempted_at" bigint,
	"finalized_at" bigint,
	"last_error" text COLLATE "C",
	"created_at" bigint NOT NULL,
	"cancellation_id" text COLLATE "C",
	CONSTRAINT "room_deletions_state" CHECK ("room_deletions"."state" IN ('available', 'running', 'retryable', 'completed', 'discarded')),
	CONSTRAINT "room_deletions_attempt" CHECK ("room_deletions"."attempt" >= 0),
	CONSTRAINT "room_deletions_running_is_an_attempt" CHECK ("room_deletions"."state" IN ('available', 'discarded') OR ("room_deletions"."attempt" >= 1 AND "room_deletions"."attempted_at" IS NOT NULL)),
	CONSTRAINT "room_deletions_finalized_at_is_set_exactly_when_final" CHECK (("room_deletions"."finalized_at" IS NULL) = ("room_deletions"."state" IN ('available', 'running', 'retryable')))
);
--> statement-breakpoint
CREATE TABLE "scheduled_days" (
	"organization_id" text COLLATE "C" NOT NULL,
	"day" integer NOT NULL,
	"first_created_at" bigint NOT NULL,
	"last_created_at" bigint NOT NULL,
	CONSTRAINT "scheduled_days_organization_id_day_pk" PRIMARY KEY("organization_id","day")
);
--> statement-breakpoint
ALTER TABLE "adoption_prefixes" ADD CONSTRAINT "adoption_prefixes_organization_id_organizations_id_fk" FOREIGN KEY ("organization_id") REFERENCES "public"."organizations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "api_keys" ADD CONSTRAINT "api_keys_organization_id_organizations_id_fk" FOREIGN KEY ("organization_id") REFERENCES "public"."organizations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "audit_log" ADD CONSTRAINT "audit_log_organization_id_organizations_id_fk" FOREIGN KEY ("organization_id") REFERENCES "public"."organizations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "calls" ADD CONSTRAINT "calls_organization_id_organizations_id_fk" FOREIGN KEY ("organization_id") REFERENCES "public"."organizations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "calls" ADD CONSTRAINT "calls_cancelled_by_api_keys_id_fk" FOREIGN KEY ("cancelled_by") REFERENCES "public"."api_keys"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "calls" ADD CONSTRAINT "calls_cancellation_id_cancellations_id_fk" FOREIGN KEY ("cancellation_id") REFERENCES "public"."cancellations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "cancellations" ADD CONSTRAINT "cancellations_organization_id_organizations_id_fk" FOREIGN KEY ("organization_id") REFERENCES "public"."organizations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "cancellations" ADD CONSTRAINT "cancellations_created_by_api_keys_id_fk" FOREIGN KEY ("created_by") REFERENCES "public"."api_keys"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "cancellations" ADD CONSTRAINT "cancellations_hold_lifted_by_api_keys_id_fk" FOREIGN KEY ("hold_lifted_by") REFERENCES "public"."api_keys"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "idempotency_keys" ADD CONSTRAINT "idempotency_keys_organization_id_organizations_id_fk" FOREIGN KEY ("organization_id") REFERENCES "public"."organizations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "room_deletions" ADD CONSTRAINT "room_deletions_call_id_calls_id_fk" FOREIGN KEY ("call_id") REFERENCES "public"."calls"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "scheduled_days" ADD CONSTRAINT "scheduled_days_organization_id_organizations_id_fk" FOREIGN KEY ("organization_id") REFERENCES "public"."organizations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "audit_log_by_cancellation" ON "audit_log" USING btree ("cancellation_id","id") WHERE "audit_log"."cancellation_id" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "audit_log_by_subject" ON "audit_log" USING btree ("subject_id","id");--> statement-breakpoint
CREATE INDEX "calls_by_cancellation" ON "calls" USING btree ("cancellation_id","created_at","id") WHERE "calls"."cancellation_id" IS NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "calls_live_room_name" ON "calls" USING btree ("room_name") WHERE "calls"."ended_at" IS NULL;--> statement-breakpoint
CREATE INDEX "calls_by_end" ON "calls" USING btree ("ended_at") WHERE "calls"."ended_at" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "calls_with_unanswered_phone" ON "calls" USING btree ("id") WHERE "calls"."has_unanswered_phone" = 1;--> statement-breakpoint
CREATE INDEX "calls_by_review" ON "calls" USING btree ("review_at") WHERE "calls"."review_at" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "calls_by_room" ON "calls" USING btree ("room_name","created_at","id");--> statement-breakpoint
CREATE INDEX "calls_by_created" ON "calls" USING btree ("organization_id","created_at","id");--> statement-breakpoint
CREATE INDEX "calls_by_status" ON "calls" USING btree ("organization_id","status","direction","created_at","id");--> statement-breakpoint
CREATE INDEX "calls_by_scheduled" ON "calls" USING btree ("organization_id","status","direction","scheduled_order","created_at","id");--> statement-breakpoint
CREATE INDEX "calls_by_agent" ON "calls" USING btree ("organization_id","agent_id","status","direction","created_at","id") WHERE "calls"."agent_id" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "calls_by_agent_and_scheduled" ON "calls" USING btree ("organization_id","agent_id","status","direction","scheduled_order","created_at","id") WHERE "calls"."agent_id" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "calls_by_phone" ON "calls" USING btree ("organization_id","phone_number","created_at","id") WHERE "calls"."phone_number" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "cancellations_by_created" ON "cancellations" USING btree ("organization_id","created_at","id");--> statement-breakpoint
CREATE INDEX "cancellations_running" ON "cancellations" USING btree ("created_at") WHERE "cancellations"."state" = 'running';--> statement-breakpoint
CREATE INDEX "cancellations_with_active_hold" ON "cancellations" USING btree ("organization_id") WHERE "cancellations"."hold_state" = 'active';--> statement-breakpoint
CREATE INDEX "idempotency_keys_by_created" ON "idempotency_keys" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "livekit_events_by_received" ON "livekit_events" USING btree ("received_at");--> statement-breakpoint
CREATE INDEX "room_deletions_due" ON "room_deletions" USING btree ("scheduled_at") WHERE "room_deletions"."finalized_at" IS NULL;--> statement-breakpoint
CREATE INDEX "room_deletions_due_of_cancellations" ON "room_deletions" USING btree ("scheduled_at") WHERE "room_deletions"."finalized_at" IS NULL AND "room_deletions"."cancellation_id" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "room_deletions_due_of_others" ON "room_deletions" USING btree ("scheduled_at") WHERE "room_deletions"."finalized_at" IS NULL AND "room_deletions"."cancellation_id" IS NULL;--> statement-breakpoint
CREATE INDEX "room_deletions_by_cancellation" ON "room_deletions" USING btree ("cancellation_id","state") WHERE "room_deletions"."cancellation_id" IS NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "room_deletions_incomplete_room_name" ON "room_deletions" USING btree ("room_name") WHERE "room_deletions"."state" <> 'completed';--> statement-breakpoint
INSERT INTO "audit_position" ("id", "last") VALUES (1, 0);
--> statement-breakpoint
-- Space for the next versions of a row on its page: an update that changes no indexed column then writes no index.
ALTER TABLE "calls" SET (fillfactor = 80);
--> statement-breakpoint
ALTER TABLE "room_deletions" SET (fillfactor = 70);
--> statement-breakpoint
ALTER TABLE "audit_position" SET (fillfactor = 10);
--> statement-breakpoint
-- Full hours: the row of a day changes at most once an hour, so that registrations seldom wait for each other here.
CREATE FUNCTION "record_scheduled_day"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	the_day integer := floor(NEW.scheduled_at / 86400000.0);
	hour_start bigint := floor(NEW.created_at / 3600000.0) * 3600000;
	hour_end bigint := floor(NEW.created_at / 3600000.0) * 3600000 + 3599999;
BEGIN
	PERFORM 1 FROM scheduled_days
	WHERE organization_id = NEW.organization_id AND day = the_day AND first_created_at <= hour_start AND last_created_at >= hour_end;
	IF NOT FOUND THEN
		INSERT INTO scheduled_days AS known (organization_id, day, first_created_at, last_created_at)
		VALUES (NEW.organization_id, the_day, hour_start, hour_end)
		ON CONFLICT (organization_id, day) DO UPDATE SET
			first_created_at = least(known.first_created_at, excluded.first_created_at),
			last_created_at = greatest(known.last_created_at, excluded.last_created_at);
	END IF;
	RETURN NULL;
END;
$$;
--> statement-breakpoint
CREATE TRIGGER "record_scheduled_day_of_new_call" AFTER INSERT ON "calls"
FOR EACH ROW WHEN (NEW.scheduled_at IS NOT NULL) EXECUTE FUNCTION "record_scheduled_day"();
--> statement-breakpoint
CREATE TRIGGER "record_scheduled_day_of_changed_call" AFTER UPDATE OF organization_id, scheduled_at, created_at ON "calls"
FOR EACH ROW WHEN (NEW.scheduled_at IS NOT NULL AND (NEW.scheduled_at, NEW.created_at, NEW.organization_id) IS DISTINCT FROM (OLD.scheduled_at, OLD.created_at, OLD.organization_id))
EXECUTE FUNCTION "record_scheduled_day"();
